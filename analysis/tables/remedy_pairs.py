"""What stops a leak: pairs of trials that differ only in one remedy.

A remedy is a change on one axis. For each leaking trial, the trial of the same sweep that
differs from it in that axis alone says whether the change stops the leak. A pair counts
where that second trial leaks or holds: a failed or inert one tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.extensions import ExtensionArray

from analysis.schema import AXES, CAUSES, FREEZES, SETTING

NEEDS = ("sweep", *SETTING, "seed", "verdict", *CAUSES)
ALL = "(all)"
"""In ``optimizer`` and ``causes``: the row that folds all of them."""
UNATTRIBUTED = "unattributed"
MOST_LEFT = 3  # leaks left that are spelled out in a cell before the rest are only counted

_COMMON_FREEZES = ("detach", "no_grad", "requires_grad")  # what people start from
_POSITIVE = ">0"
_NO_COUNTERPART = -1
_KEYS = ["sweep", "optimizer", "zero_grad", "causes", "remedy"]
_MOST_CODES = 2**62
_Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of ``axis`` from ``before`` to ``after``; ``>0`` stands for any such number."""

    axis: str
    before: str
    after: str

    def starts(self, frame: pd.DataFrame) -> pd.Series:
        """Which trials the remedy can be applied to, as booleans."""
        if self.before == _POSITIVE:
            return frame[self.axis] > 0
        return frame[self.axis] == self.before

    def ends(self, frame: pd.DataFrame) -> pd.Series:
        """Which trials have it applied, as booleans."""
        return frame[self.axis] == (0 if self.before == _POSITIVE else self.after)


REMEDIES = (
    Remedy("zero_grad", "zero", "none"),
    Remedy("zero_grad", "never", "none"),
    Remedy("zero_grad", "never", "zero"),
    *(Remedy("freeze", a, b) for a in _COMMON_FREEZES for b in FREEZES if a != b),
    Remedy("momentum", _POSITIVE, "0"),
    Remedy("weight_decay", _POSITIVE, "0"),
)
"""Every remedy that is looked for, in the order of the table."""


def remedies(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each way of leaking and remedy that has at least one pair.

    A way of leaking is an optimizer, a ``zero_grad`` and a set of causes. The first rows of
    each sweep fold all optimizers and causes, which both read ``(all)`` there.

    Columns: ``sweep``, ``optimizer``, ``zero_grad``, ``causes`` (joined by ``+``), the
    remedy as ``axis``, ``from``, ``to``; ``pairs``, how many of them leak no more
    (``stopped``), how many still do (``left``), and which (``left_settings``, null for
    none): of a folded row the optimizers, of any other the settings, the first few.
    """
    trials = _Trials.of(frame[frame["verdict"].isin(["leaks", "holds"])])
    pairs = _pairs(trials)
    folded = pairs.assign(optimizer=ALL, causes=ALL, left_one=pairs["optimizer"].cat.codes)
    named = partial(_optimizers, trials.frame)
    rows = [_counted(folded, named), _counted(pairs, partial(_described, trials))]
    # Sweeps stay together; within one the folded rows stay first.
    return pd.concat(rows).sort_values("sweep", kind="stable", ignore_index=True)


@dataclass(frozen=True, slots=True)
class _Trials:
    """The trials that leak or hold, and their settings, each sweep's its own.

    Attributes:
        frame: a row a trial.
        leaks: whether it leaks.
        setting: the place of its setting in ``settings``.
        seed: its seed, as a number from 0 on.
        settings: a row a setting: its first trial.
    """

    frame: pd.DataFrame
    leaks: npt.NDArray[np.bool_]
    setting: _Codes
    seed: _Codes
    settings: pd.DataFrame

    @classmethod
    def of(cls, frame: pd.DataFrame) -> _Trials:
        """Those of ``frame``, which all leak or hold."""
        frame = frame.reset_index(drop=True)
        setting = _combined([_codes(frame[name]) for name in ("sweep", *SETTING)])
        first = np.empty(int(setting.max(initial=-1)) + 1, np.int64)
        first[setting[::-1]] = np.arange(len(frame))[::-1]
        return cls(
            frame=frame,
            leaks=(frame["verdict"] == "leaks").to_numpy(bool),
            setting=setting,
            seed=_codes(frame["seed"]),
            settings=frame.iloc[first].reset_index(drop=True),
        )


def _pairs(trials: _Trials) -> pd.DataFrame:
    """One row for each remedy and leaking trial that has a counterpart, in `REMEDIES`' order.

    ``trial`` is the leaking trial's place in the frame, ``left_one`` what tells it from
    others in ``left_settings``: here its setting.
    """
    seeds = int(trials.seed.max(initial=0)) + 1
    cells = trials.setting * seeds + trials.seed
    by_cell = np.argsort(cells, kind="stable")
    in_order = cells[by_cell]
    leaking = np.flatnonzero(trials.leaks)
    found = []
    for place, other in enumerate(_counterparts(trials.settings)):
        starts = leaking[other[trials.setting[leaking]] != _NO_COUNTERPART]
        wanted = other[trials.setting[starts]] * seeds + trials.seed[starts]
        near = np.searchsorted(in_order, wanted).clip(max=len(in_order) - 1)
        met = in_order[near] == wanted
        stopped = ~trials.leaks[by_cell[near[met]]]
        found.append(pd.DataFrame({"trial": starts[met], "stopped": stopped, "remedy": place}))
    pairs = pd.concat(found, ignore_index=True)
    places = pairs["trial"].to_numpy()
    words = trials.frame[["sweep", "optimizer", "zero_grad"]].take(places).reset_index(drop=True)
    causes = _cause_sets(trials.frame).take(places)
    left_one = trials.setting[places]
    return pd.concat([pairs, words], axis="columns").assign(causes=causes, left_one=left_one)


def _counterparts(settings: pd.DataFrame) -> Iterator[_Codes]:
    """For each remedy, the place of the setting that it makes of each; -1 where there is none."""
    codes = {name: _codes(settings[name]) for name in ("sweep", *SETTING)}
    for remedy in REMEDIES:
        starts = np.flatnonzero(remedy.starts(settings))
        ends = np.flatnonzero(remedy.ends(settings))
        both = np.concatenate([starts, ends])
        same = _combined([code[both] for name, code in codes.items() if name != remedy.axis])
        known = np.full(len(both) + 1, _NO_COUNTERPART, np.int64)
        known[same[len(starts) :]] = ends
        other = np.full(len(settings), _NO_COUNTERPART, np.int64)
        other[starts] = known[same[: len(starts)]]
        yield other


def _counted(pairs: pd.DataFrame, named: Callable[[_Codes], list[str]]) -> pd.DataFrame:
    """The rows of the table for one way of folding ``pairs``; ``named`` puts trials in words."""
    groups = pairs.groupby(_KEYS, observed=True)
    rows = groups.agg(pairs=("stopped", "size"), stopped=("stopped", "sum")).reset_index()
    rows["left"] = rows["pairs"] - rows["stopped"]
    rows = rows.merge(_left_texts(pairs[~pairs["stopped"]], named), how="left", on=_KEYS)
    remedy = [REMEDIES[place] for place in rows["remedy"]]
    rows["axis"] = [change.axis for change in remedy]
    rows["from"] = [change.before for change in remedy]
    rows["to"] = [change.after for change in remedy]
    words = ["sweep", "optimizer", "zero_grad", "causes", "axis", "from", "to"]
    numbers = ["pairs", "stopped", "left"]
    kinds = dict.fromkeys((*words, "left_settings"), "string") | dict.fromkeys(numbers, "int64")
    return rows[[*words, *numbers, "left_settings"]].astype(kinds)


def _left_texts(left: pd.DataFrame, named: Callable[[_Codes], list[str]]) -> pd.DataFrame:
    """What is left in each group: the first few spelled out, the others counted."""
    distinct = left.drop_duplicates([*_KEYS, "left_one"])
    shown = distinct.groupby(_KEYS, observed=True).head(MOST_LEFT)
    labels = pd.Series(named(shown["trial"].to_numpy()), shown.index, dtype="string")
    texts = shown.assign(text=labels).groupby(_KEYS, observed=True)["text"].agg("; ".join)
    more = distinct.groupby(_KEYS, observed=True).size() - MOST_LEFT
    suffix = [f"; and {count} more" if count > 0 else "" for count in more]
    return (texts + pd.Series(suffix, more.index)).rename("left_settings").reset_index()


def _optimizers(frame: pd.DataFrame, places: _Codes) -> list[str]:
    """The optimizers of the trials at ``places``."""
    return [str(name) for name in frame["optimizer"].take(places)]


def _described(trials: _Trials, places: _Codes) -> list[str]:
    """The trials at ``places`` by the axes that vary and that no other column shows."""
    axes = [axis for axis in AXES if axis not in ("optimizer", "zero_grad")]
    varying = [axis for axis in axes if trials.settings[axis].nunique(dropna=False) > 1]
    chosen = trials.frame.take(places)
    columns = [[_assigned(axis, value) for value in chosen[axis]] for axis in varying]
    if not columns:
        return ["its only setting"] * len(places)
    return [" ".join(filter(None, parts)) for parts in zip(*columns, strict=True)]


def _assigned(axis: str, value: str | float | None) -> str:
    if pd.isna(value):
        return ""
    return f"{axis}={value:.12g}" if isinstance(value, float) else f"{axis}={value}"


def _cause_sets(frame: pd.DataFrame) -> ExtensionArray:
    """Each trial's causes joined by ``+``, in their documented order."""
    bits = np.zeros(len(frame), np.int64)
    for place, cause in enumerate(CAUSES):
        bits += frame[cause].fillna(False).to_numpy(bool).astype(np.int64) << place
    texts = [
        "+".join(cause for place, cause in enumerate(CAUSES) if number >> place & 1)
        for number in range(1 << len(CAUSES))
    ]
    words = sorted(text or UNATTRIBUTED for text in texts)
    rank = np.array([words.index(text or UNATTRIBUTED) for text in texts], np.int64)
    return pd.Categorical.from_codes(rank[bits], dtype=pd.CategoricalDtype(words))


def _codes(column: pd.Series) -> _Codes:
    """A number for each row, equal where the values are; null is a value like any other."""
    return pd.factorize(column, use_na_sentinel=False)[0].astype(np.int64)


def _combined(codes: Sequence[_Codes]) -> _Codes:
    """A number below the count of rows for each row, equal where all of ``codes`` are."""
    whole, size = np.zeros(len(codes[0]), np.int64), 1
    for code in codes:
        count = int(code.max(initial=0)) + 1
        if size * count > _MOST_CODES:
            # Compressed, there are as many as rows at most: the product stays below rows squared.
            whole = pd.factorize(whole)[0].astype(np.int64)
            size = int(whole.max(initial=0)) + 1
        whole, size = whole * count + code, size * count
    return pd.factorize(whole)[0].astype(np.int64)
