"""What stops a leak: pairs of trials that differ only in one remedy.

A remedy is a change on one axis. For each leaking trial, the trial of the same sweep that
differs from it in that axis alone says whether the change stops the leak. A pair counts
where that second trial leaks or holds: a failed or inert one tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.schema import AXES, CAUSES, FREEZES, SETTING

NEEDS = ("sweep", *SETTING, "seed", "verdict", *CAUSES)
ALL = "(all)"
"""In ``optimizer`` and ``causes``: the row that folds all of them."""
UNATTRIBUTED = "unattributed"
MOST_LEFT = 3  # leaks left that are spelled out in a cell before the rest are only counted

_COMMONFREEZES = ("detach", "no_grad", "requires_grad")  # what people start from
_POSITIVE = ">0"
_NO_COUNTERPART = -1
_KEYS = ["sweep", "optimizer", "zero_grad", "causes", "remedy"]
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
    *(Remedy("freeze", a, b) for a in _COMMONFREEZES for b in FREEZES if a != b),
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
    frame = frame[frame["verdict"].isin(["leaks", "holds"])].reset_index(drop=True)
    pairs = _pairs(frame)
    folded = pairs.assign(optimizer=ALL, causes=ALL, left_one=pairs["optimizer"].astype("string"))
    rows = pd.concat([_counted(folded, frame), _counted(pairs, frame)], ignore_index=True)
    # Sweeps stay together; within one the folded rows stay first.
    return rows.sort_values("sweep", kind="stable", ignore_index=True)


def _pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each remedy and leaking trial that has a counterpart, in `REMEDIES`' order.

    ``trial`` is the leaking trial's place in ``frame``, ``left_one`` what tells it from
    others in ``left_settings``: here its setting, as a number.
    """
    codes = {name: _codes(frame[name]) for name in ("sweep", *SETTING, "seed")}
    found = [_matched(frame, codes, place) for place in range(len(REMEDIES))]
    pairs = pd.concat(found, ignore_index=True)
    setting = _combined([codes[name] for name in codes if name != "seed"])
    trials = pairs["trial"].to_numpy()
    words = frame[["sweep", "optimizer", "zero_grad"]].iloc[trials].reset_index(drop=True)
    sets = pd.Series(_cause_sets(frame)[trials], dtype="category")
    return pd.concat([pairs, words], axis="columns").assign(causes=sets, left_one=setting[trials])


def _matched(frame: pd.DataFrame, codes: dict[str, _Codes], place: int) -> pd.DataFrame:
    """Whether one remedy stops each leaking trial that has a counterpart."""
    remedy = REMEDIES[place]
    leaks = (frame["verdict"] == "leaks").to_numpy(bool)
    starts = np.flatnonzero(leaks & remedy.starts(frame).to_numpy(bool))
    ends = np.flatnonzero(remedy.ends(frame).to_numpy(bool))
    both = np.concatenate([starts, ends])
    same = _combined([code[both] for name, code in codes.items() if name != remedy.axis])
    before, after = same[: len(starts)], same[len(starts) :]
    outcome = np.full(len(both) + 1, _NO_COUNTERPART, np.int8)
    outcome[after] = leaks[ends]
    result = outcome[before]
    paired = result != _NO_COUNTERPART
    return pd.DataFrame(
        {"trial": starts[paired], "stopped": (result[paired] == 0), "remedy": place}
    )


def _counted(pairs: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table for one way of folding ``pairs``."""
    groups = pairs.groupby(_KEYS, observed=True)
    rows = groups.agg(pairs=("stopped", "size"), stopped=("stopped", "sum")).reset_index()
    rows["left"] = rows["pairs"] - rows["stopped"]
    rows = rows.merge(_left_texts(pairs[~pairs["stopped"]], frame), how="left", on=_KEYS)
    remedy = [REMEDIES[place] for place in rows["remedy"]]
    rows["axis"] = [change.axis for change in remedy]
    rows["from"] = [change.before for change in remedy]
    rows["to"] = [change.after for change in remedy]
    words = ["sweep", "optimizer", "zero_grad", "causes", "axis", "from", "to"]
    counts = ["pairs", "stopped", "left"]
    kinds = dict.fromkeys((*words, "left_settings"), "string") | dict.fromkeys(counts, "int64")
    return rows[[*words, *counts, "left_settings"]].astype(kinds)


def _left_texts(left: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """What is left in each group: the first few spelled out, the others counted."""
    distinct = left.drop_duplicates([*_KEYS, "left_one"])
    shown = distinct.groupby(_KEYS, observed=True).head(MOST_LEFT)
    if pd.api.types.is_string_dtype(shown["left_one"].dtype):
        labels = shown["left_one"].astype("string")
    else:
        labels = pd.Series(_described(frame, shown["trial"]), shown.index, dtype="string")
    texts = shown.assign(text=labels).groupby(_KEYS, observed=True)["text"].agg("; ".join)
    more = distinct.groupby(_KEYS, observed=True).size() - MOST_LEFT
    suffix = [f"; and {count} more" if count > 0 else "" for count in more]
    return (texts + pd.Series(suffix, more.index)).rename("left_settings").reset_index()


def _described(frame: pd.DataFrame, places: pd.Series) -> list[str]:
    """The trials at ``places`` by the axes that vary in ``frame`` and no other column shows."""
    axes = [axis for axis in AXES if axis not in ("optimizer", "zero_grad")]
    varying = [axis for axis in axes if frame[axis].nunique(dropna=False) > 1]
    columns = [[_assigned(axis, value) for value in frame[axis].iloc[places]] for axis in varying]
    if not columns:
        return ["its only setting"] * len(places)
    return [" ".join(filter(None, parts)) for parts in zip(*columns, strict=True)]


def _assigned(axis: str, value: str | float | None) -> str:
    if pd.isna(value):
        return ""
    return f"{axis}={value:.12g}" if isinstance(value, float) else f"{axis}={value}"


def _cause_sets(frame: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Each trial's causes joined by ``+``, in their documented order."""
    bits = np.zeros(len(frame), np.int64)
    for place, cause in enumerate(CAUSES):
        bits += frame[cause].fillna(False).to_numpy(bool).astype(np.int64) << place
    texts = [
        "+".join(cause for place, cause in enumerate(CAUSES) if number >> place & 1)
        for number in range(1 << len(CAUSES))
    ]
    return np.array([text or UNATTRIBUTED for text in texts], dtype=object)[bits]


def _codes(column: pd.Series) -> _Codes:
    """A number for each row, equal where the values are; null is a value like any other."""
    return pd.factorize(column, use_na_sentinel=False)[0].astype(np.int64)


def _combined(codes: Sequence[_Codes]) -> _Codes:
    """A number below the count of rows for each row, equal where all of ``codes`` are."""
    whole = np.zeros(len(codes[0]), np.int64)
    for code in codes:
        # Compressed at every step, the product cannot exceed rows squared, well within int64.
        whole = whole * (int(code.max(initial=0)) + 1) + code
        whole = pd.factorize(whole)[0].astype(np.int64)
    return whole
