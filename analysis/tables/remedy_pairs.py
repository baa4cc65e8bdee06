"""What stops a leak: pairs of trials that differ only in one remedy.

A remedy is a change on one axis. For each leaking trial, the trial of the same sweep and seed
that differs from it in that axis alone says whether the change stops the leak. A pair counts
where that second trial leaks or holds: a failed or inert one tells nothing.

Every remedy is tried on the same leaks: those of a layer that is frozen as people freeze one
(`analysis.schema.USUAL_FREEZES`). What starts from another way has rows of its own, as such
a way may bring the leak about by itself: ``grad_zero`` writes back the very zeros that
``zero_grad = none`` keeps away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.formats import assigned, first_few
from analysis.schema import (
    FREEZES,
    SEEDS,
    SETTING_AXES,
    SETTING_KEYS,
    USUAL_FREEZES,
    beside,
    in_order,
)
from analysis.tables.cause_counts import cause_sets

EVERY = "(all)"
"""In ``optimizer`` and ``causes``: the row that folds all of them."""
_POSITIVE = ">0"
_KEYS = ["sweep", "frozen_by", "optimizer", "zero_grad", "causes", "remedy"]


@dataclass(frozen=True, slots=True)
class AxisChange:
    """A change of ``axis`` from ``before`` to ``after``.

    ``before`` is ``>0`` for any such number, and None for any value but ``after``.
    """

    axis: str
    before: str | None
    after: str

    def starts(self, settings: pd.DataFrame) -> pd.Series:
        """Which settings it can be applied to, as booleans."""
        if self.before is None:
            return settings[self.axis] != self.after
        if self.before == _POSITIVE:
            return settings[self.axis] > 0
        return settings[self.axis] == self.before

    def ends(self, settings: pd.DataFrame) -> pd.Series:
        """Which settings have it applied, as booleans."""
        return settings[self.axis] == (0 if self.before == _POSITIVE else self.after)


CHANGES = (
    AxisChange("zero_grad", "zero", "none"),
    AxisChange("zero_grad", "never", "none"),
    AxisChange("zero_grad", "never", "zero"),
    *(AxisChange("freeze", None, way) for way in FREEZES),
    AxisChange("momentum", _POSITIVE, "0"),
    AxisChange("weight_decay", _POSITIVE, "0"),
)
"""Every remedy that is looked for, in the order of the table."""


def remedies(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each remedy and the leaks it was tried on, where there is at least one pair.

    Leaks are told apart by ``frozen_by``, the ways of freezing that they have, and by
    ``zero_grad``. The first rows of each sweep fold all optimizers and causes; then come those
    of each optimizer, then those of each set of causes; what is folded reads ``(all)``.

    Columns: ``sweep``, ``frozen_by``, ``optimizer``, ``zero_grad``, ``causes``, the remedy as
    ``axis``, ``from``, ``to``; ``pairs``, how many of them leak no more (``stopped``), how
    many still do (``left``), and which (``left_settings``, null for none): of one optimizer
    its settings, of all the optimizers, the first few.
    """
    trials = frame[frame["verdict"].isin(["leaks", "holds"])]
    keys = ["sweep", *SETTING_KEYS]
    place = trials.groupby(keys, observed=True, dropna=False).ngroup().rename("setting")
    settings = trials[keys].set_axis(place, axis="index").sort_index()
    settings = settings[~settings.index.duplicated()]
    pairs = _pairs(trials, settings, place)
    everything = pairs.assign(optimizer=EVERY, causes=EVERY, label=pairs["optimizer"])
    described = pairs.assign(causes=EVERY, label=_described(pairs, settings))
    by_cause = pairs.assign(optimizer=EVERY, label=pairs["optimizer"])
    rows = [_counted(each) for each in (everything, described, by_cause)]
    # Sweeps stay together; within one the folded rows stay first.
    return pd.concat(rows).sort_values("sweep", kind="stable", ignore_index=True)


def _pairs(trials: pd.DataFrame, settings: pd.DataFrame, place: pd.Series) -> pd.DataFrame:
    """One row for each remedy and leaking row of ``trials`` that has a counterpart.

    ``place`` says which of ``settings`` a row of the trials has. Columns: `_KEYS` with the
    remedy's place, ``setting``, ``stopped``, ``left``.
    """
    seeds = _sets(trials[SEEDS] if SEEDS in trials else trials["seed"].astype(str))
    leaks = (trials["verdict"] == "leaks").to_numpy(bool)
    leaking, holding = (np.zeros(len(settings), object) for _ in range(2))
    for at, own, is_leak in zip(place, seeds, leaks, strict=True):
        (leaking if is_leak else holding)[at] |= own
    found = place[leaks].to_frame().assign(causes=cause_sets(trials[leaks]), seeds=seeds[leaks])
    tried = []
    for remedy, change in enumerate(CHANGES):
        other = beside(settings, [*settings], change.axis, change.ends(settings))
        met = found["setting"].map(other.where(change.starts(settings))).dropna().astype(int)
        own = found.loc[met.index]
        stopped, left = (_common(own["seeds"], of[met]) for of in (holding, leaking))
        tried.append(own.assign(remedy=remedy, stopped=stopped, left=left))
    pairs = pd.concat(tried, ignore_index=True).drop(columns="seeds")
    pairs = pairs[pairs["stopped"] + pairs["left"] > 0]
    words = settings[["sweep", "optimizer", "zero_grad"]].assign(frozen_by=_frozen_by(settings))
    return pairs.join(words, on="setting")


def _described(pairs: pd.DataFrame, settings: pd.DataFrame) -> list[str]:
    """The settings of ``pairs`` by the axes that vary and that no other column shows."""
    axes = [axis for axis in SETTING_AXES if axis not in ("optimizer", "zero_grad")]
    varying = [axis for axis in axes if settings[axis].nunique(dropna=False) > 1]
    told = settings.loc[pairs["setting"][pairs["left"] > 0].unique(), varying]
    texts = {place: assigned(row.items()) for place, row in told.to_dict("index").items()}
    return [texts.get(place) or "its only setting" for place in pairs["setting"]]


def _sets(lists: pd.Series) -> npt.NDArray[np.object_]:
    """Each text of seeds as a set of bits."""
    bit: dict[str, int] = {}
    found = np.zeros(len(lists), object)
    for place, text in enumerate(lists):
        for seed in text.split(","):
            found[place] |= bit.setdefault(seed, 1 << len(bit))
    return found


def _common(some: Iterable[int], others: Iterable[int]) -> list[int]:
    """How many bits each of the sets shares with its other."""
    return [(one & other).bit_count() for one, other in zip(some, others, strict=True)]


def _frozen_by(settings: pd.DataFrame) -> list[str]:
    """Each setting's way of freezing; the usual ones, those of the sweep, are one."""
    ways = settings["freeze"].astype(str)
    usual = ways.isin(USUAL_FREEZES)
    used = ways[usual].groupby(settings["sweep"], observed=True).unique()
    together = {sweep: ", ".join(in_order("freeze", words)) for sweep, words in used.items()}
    return list(ways.mask(usual, settings["sweep"].astype(object).map(together)))


def _counted(pairs: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table for one way of folding ``pairs``; ``label`` is what is left of each."""
    rows = pairs.groupby(_KEYS, observed=True)[["stopped", "left"]].sum().reset_index()
    rows["pairs"] = rows["stopped"] + rows["left"]
    left = pairs[pairs["left"] > 0].sort_values("setting", kind="stable")
    named = left.drop_duplicates([*_KEYS, "label"]).groupby(_KEYS, observed=True)["label"]
    texts = named.agg(lambda own: first_few(list(own)) or "").rename("left_settings")
    rows = rows.merge(texts.reset_index(), how="left", on=_KEYS)
    rows = rows.join(pd.DataFrame(CHANGES), on="remedy")
    rows = rows.rename(columns={"before": "from", "after": "to"})
    rows["from"] = rows["from"].fillna(rows["frozen_by"])
    words = [*_KEYS[:-1], "axis", "from", "to"]
    numbers = ["pairs", "stopped", "left"]
    kinds = dict.fromkeys((*words, "left_settings"), "string") | dict.fromkeys(numbers, "int64")
    return rows[[*words, *numbers, "left_settings"]].astype(kinds)
