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

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.schema import (
    FREEZES,
    SEEDS,
    SETTING_AXES,
    SETTING_KEYS,
    USUAL_FREEZES,
    in_order,
)
from analysis.tables.cause_counts import cause_sets
from analysis.tables.spelled import assigned, first_few

EVERY = "(all)"
"""In ``optimizer`` and ``causes``: the row that folds all of them."""
_POSITIVE = ">0"
_NONE = -1
_KEYS = ["sweep", "frozen_by", "optimizer", "zero_grad", "causes", "remedy"]
_Places = npt.NDArray[np.int64]


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
    settings = _Settings.of(trials)
    pairs = settings.pairs(trials)
    everything = pairs.assign(optimizer=EVERY, causes=EVERY, label=pairs["optimizer"])
    described = pairs.assign(causes=EVERY, label=settings.described(pairs))
    by_cause = pairs.assign(optimizer=EVERY, label=pairs["optimizer"])
    rows = [_counted(each) for each in (everything, described, by_cause)]
    # Sweeps stay together; within one the folded rows stay first.
    return pd.concat(rows).sort_values("sweep", kind="stable", ignore_index=True)


@dataclass(frozen=True, slots=True)
class _Settings:
    """The settings of trials that leak or hold, each sweep's its own.

    Attributes:
        frame: a row a setting, in order: ``sweep`` and `SETTING_KEYS`.
        place: for each row of the trials, the place of its setting.
        seeds: for each row of the trials, their seeds as a set: a bit for each.
        leaking, holding: for each setting, the seeds with which it does.
    """

    frame: pd.DataFrame
    place: _Places
    seeds: npt.NDArray[np.object_]
    leaking: npt.NDArray[np.object_]
    holding: npt.NDArray[np.object_]

    @classmethod
    def of(cls, trials: pd.DataFrame) -> _Settings:
        keys = ["sweep", *SETTING_KEYS]
        groups = trials.groupby(keys, observed=True, dropna=False)
        place = groups.ngroup().to_numpy().astype(np.int64)
        first = np.unique(place, return_index=True)[1]
        sets = _sets(trials[SEEDS] if SEEDS in trials else trials["seed"].astype(str))
        leaking, holding = (np.zeros(len(first), object) for _ in range(2))
        for at, seeds, leaks in zip(place, sets, trials["verdict"] == "leaks", strict=True):
            (leaking if leaks else holding)[at] |= seeds
        settings = trials[keys].iloc[first].reset_index(drop=True)
        return cls(settings, place, sets, leaking, holding)

    def pairs(self, trials: pd.DataFrame) -> pd.DataFrame:
        """One row for each remedy and leaking row of the trials that has a counterpart.

        Columns: `_KEYS` with the remedy's place, ``setting`` as a place, ``stopped``, ``left``.
        """
        leaks = (trials["verdict"] == "leaks").to_numpy(bool)
        causes = cause_sets(trials[leaks]).to_numpy(str)
        frozen_by = _frozen_by(self.frame)
        at, seeds = self.place[leaks], self.seeds[leaks]
        found = []
        for number, other in enumerate(self._counterparts()):
            place = other[at]
            met = np.flatnonzero(place != _NONE)
            stopped = _bits(seeds[met] & self.holding[place[met]])
            left = _bits(seeds[met] & self.leaking[place[met]])
            counted = {"setting": at[met], "stopped": stopped, "left": left}
            found.append(pd.DataFrame(counted | {"causes": causes[met], "remedy": number}))
        pairs = pd.concat(found, ignore_index=True)
        pairs = pairs[pairs["stopped"] + pairs["left"] > 0]
        words = self.frame[["sweep", "optimizer", "zero_grad"]].assign(frozen_by=frozen_by)
        return pairs.join(words, on="setting")

    def _counterparts(self) -> Iterator[_Places]:
        """For each remedy, the place of the setting that it makes of each; -1 for none."""
        keys = list(self.frame.columns)
        for change in CHANGES:
            others = [name for name in keys if name != change.axis]
            same = self.frame.groupby(others, observed=True, dropna=False).ngroup()
            ends = same[change.ends(self.frame)]
            known = pd.Series(ends.index, index=ends.to_numpy())
            other = same.map(known).where(change.starts(self.frame))
            yield other.fillna(_NONE).to_numpy(np.int64)

    def described(self, pairs: pd.DataFrame) -> list[str]:
        """The settings of ``pairs`` by the axes that vary and that no other column shows."""
        axes = [axis for axis in SETTING_AXES if axis not in ("optimizer", "zero_grad")]
        varying = [axis for axis in axes if self.frame[axis].nunique(dropna=False) > 1]
        places = pairs["setting"].where(pairs["left"] > 0)
        texts = {
            place: assigned((axis, self.frame.at[place, axis]) for axis in varying)
            for place in places.dropna().astype(int).unique()
        }
        return [texts.get(place) or "its only setting" for place in places]


def _sets(lists: pd.Series) -> npt.NDArray[np.object_]:
    """Each text of seeds as a set of bits."""
    bit: dict[str, int] = {}
    found = np.zeros(len(lists), object)
    for place, text in enumerate(lists):
        for seed in text.split(","):
            found[place] |= bit.setdefault(seed, 1 << len(bit))
    return found


def _bits(sets: npt.NDArray[np.object_]) -> _Places:
    return np.array([int(each).bit_count() for each in sets], np.int64)


def _frozen_by(settings: pd.DataFrame) -> list[str]:
    """Each setting's way of freezing; the usual ones, those of the sweep, are one."""
    ways = settings["freeze"].astype(str)
    usual = ways.isin(USUAL_FREEZES)
    used = ways[usual].groupby(settings["sweep"], observed=True).unique()
    together = {sweep: ", ".join(in_order("freeze", words)) for sweep, words in used.items()}
    return list(ways.mask(usual, settings["sweep"].astype(object).map(together)))


def _counted(pairs: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table for one way of folding ``pairs``; ``label`` is what is left of each."""
    groups = pairs.groupby(_KEYS, observed=True)
    rows = groups[["stopped", "left"]].sum().reset_index()
    rows["pairs"] = rows["stopped"] + rows["left"]
    rows = rows.merge(_left_texts(pairs[pairs["left"] > 0]), how="left", on=_KEYS)
    change = [CHANGES[place] for place in rows["remedy"]]
    rows["axis"] = [each.axis for each in change]
    rows["from"] = [
        each.before or ways for each, ways in zip(change, rows["frozen_by"], strict=True)
    ]
    rows["to"] = [each.after for each in change]
    words = [*_KEYS[:-1], "axis", "from", "to"]
    numbers = ["pairs", "stopped", "left"]
    kinds = dict.fromkeys((*words, "left_settings"), "string") | dict.fromkeys(numbers, "int64")
    return rows[[*words, *numbers, "left_settings"]].astype(kinds)


def _left_texts(left: pd.DataFrame) -> pd.DataFrame:
    """What is left in each group, in the order of settings: the first few, the others counted."""
    distinct = left.sort_values("setting", kind="stable").drop_duplicates([*_KEYS, "label"])
    texts = distinct.groupby(_KEYS, observed=True)["label"].agg(
        lambda own: first_few(list(own)) or ""
    )
    return texts.rename("left_settings").reset_index()
