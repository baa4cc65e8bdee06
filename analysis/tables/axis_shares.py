"""How much each axis matters for whether a trial leaks, and for the worst drift.

`analysis.searched_importance` does the reckoning, over settings with their seeds folded. It gives
shares, and says how much of what happens they explain; the table `rules` says exactly which
axes decide, where there is a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.schema import AXES, counts, in_order
from analysis.searched_importance import Design, Shares, fanova, ped_anova
from analysis.tables.leak_rules import findings

NEEDS = ("sweep", *AXES, "verdict", "drift_ratio")
ALL = "(all)"
"""In ``optimizer``: the rows over all optimizers of a sweep that has several."""
MOST_VALUES = 16  # an axis of more numbers is cut into as many parts, as it was searched
MOST_SETTINGS = 1000  # of all optimizers; of more, so many are drawn
MOST_SETTINGS_OF_ONE = 250  # optimizer
WORST = 10  # one in so many leaking settings has the worst drift
SEED = 0

_Codes = npt.NDArray[np.int64]
_Values = npt.NDArray[np.float64]
_NUMBERS = frozenset({"lr", "weight_decay", "momentum"})
_KINDS = {
    **dict.fromkeys(("sweep", "optimizer", "axis"), "string"),
    "values": "int64",
    **dict.fromkeys(("fanova", "ped_anova", "worst_drift"), "float64"),
    "in_rule": "string",
    **dict.fromkeys(("explained", "together"), "float64"),
    **dict.fromkeys(("settings", "trials"), "int64"),
}


def importance(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each sweep, optimizer and axis that the optimizer was run with several values of.

    Of a sweep with several optimizers the first rows, whose ``optimizer`` is ``(all)``, are
    over all of them. An optimizer that always leaks or never has rows only where its worst
    drift can be told. Settings are what is counted, with their seeds folded; of more than
    1000, and of one optimizer 250, that many are drawn, the same for the same trials.

    Columns: ``sweep``, ``optimizer``, ``axis``, ``values`` (how many it has; an axis of more
    than 16 numbers is cut into 16 parts); for whether a setting leaks ``fanova`` (the share
    of the variance that the axis makes alone) and ``ped_anova`` (its share of what sets the
    leaking settings apart); ``worst_drift`` (its share of what sets the tenth of them with
    the largest drift_ratio apart; null for fewer than 10); ``in_rule`` (``yes`` or ``no``,
    null where `rules` has no exact one); then for all axes at once ``explained`` (R^2 of
    fANOVA's forest on settings it was not shown), ``together`` (the variance that axes make
    only together), ``settings`` and ``trials`` (that leak or hold).
    """
    decided = frame[frame["verdict"].isin(["leaks", "holds"])]
    rule_axes = _rule_axes(decided)
    rows = []
    for sweep, trials in decided.groupby("sweep", observed=True):
        settings = _Settings.of(trials)
        for optimizer, group in settings.groups():
            axes = rule_axes.get((str(sweep), optimizer))
            for row in _rows(group):
                known = None if axes is None else "yes" if row["axis"] in axes else "no"
                rows.append({"sweep": sweep, "optimizer": optimizer, "in_rule": known} | row)
    return pd.DataFrame(rows, columns=list(_KINDS)).astype(_KINDS)


def _rule_axes(decided: pd.DataFrame) -> dict[tuple[str, str], tuple[str, ...]]:
    """The axes of the exact rule of each sweep and optimizer that has one.

    Where an axis was searched there is none: it would single out each trial by its number.
    """
    keys = ["sweep", "optimizer"]
    distinct = decided.groupby(keys, observed=True)[sorted(_NUMBERS)].nunique()
    gridded = distinct.index[(distinct <= MOST_VALUES).all(axis="columns")]
    if len(gridded) < len(distinct):
        decided = decided[pd.MultiIndex.from_frame(decided[keys]).isin(gridded)]
    found = findings(decided)
    return {key: finding.rule.axes for key, finding in found.items() if finding.exact}


@dataclass(frozen=True, slots=True)
class _Settings:
    """The settings of a sweep, or some of them, with their seeds folded.

    Attributes:
        names: the optimizers, by their codes.
        codes: the value of each axis as a whole number, of shape ``(settings, axes)``.
        trials: for each, how many leak or hold.
        leaks: the share of those that leak.
        drift: the median drift_ratio of those that leak; NaN where none has one.
    """

    names: tuple[str, ...]
    codes: _Codes
    trials: _Codes
    leaks: _Values
    drift: _Values

    @classmethod
    def of(cls, trials: pd.DataFrame) -> _Settings:
        """The settings of a sweep's trials, which all leak or hold, in one order for all."""
        columns = [_codes(trials[axis]) for axis in AXES]
        sizes = tuple(int(column.max()) + 1 for column in columns)
        setting, distinct = pd.factorize(np.ravel_multi_index(columns, sizes), sort=True)
        each = counts(trials).to_numpy(np.float64)
        leaks = (trials["verdict"] == "leaks").to_numpy(bool)
        drift = trials["drift_ratio"].to_numpy(np.float64)[leaks]
        medians = pd.Series(drift).groupby(setting[leaks]).median()
        number = np.bincount(setting, each)
        return cls(
            names=tuple(in_order("optimizer", trials["optimizer"].astype(str).unique())),
            codes=np.column_stack(np.unravel_index(distinct, sizes)),
            trials=number.astype(np.int64),
            leaks=np.bincount(setting, each * leaks) / number,
            drift=medians.reindex(range(len(distinct))).to_numpy(np.float64),
        )

    def groups(self) -> Iterator[tuple[str, _Settings]]:
        """All of them where there are several optimizers, then those of each, by name."""
        if len(self.names) > 1:
            yield ALL, self
        for place, name in enumerate(self.names):
            yield name, self.chosen(self.codes[:, 0] == place)

    def drawn(self, most: int) -> _Settings:
        """All of them, or ``most`` drawn by chance: as many as do not take too long."""
        count = len(self.leaks)
        if count <= most:
            return self
        places = np.random.default_rng(SEED).choice(count, most, replace=False)
        return self.chosen(np.sort(places))

    def ranks(self) -> _Values:
        """The places of the drifts by size, for infinity is one, too; equal for equal ones."""
        return np.unique(self.drift, return_inverse=True)[1].astype(np.float64)

    def chosen(self, places: npt.NDArray[np.bool_] | _Codes) -> _Settings:
        """Those at ``places``."""
        return _Settings(
            names=self.names,
            codes=self.codes[places],
            trials=self.trials[places],
            leaks=self.leaks[places],
            drift=self.drift[places],
        )


def _codes(column: pd.Series) -> _Codes:
    """The place of each row's value among those of the axis in their order, null the last."""
    codes, distinct = pd.factorize(column)
    if str(column.name) in _NUMBERS:
        rank = np.argsort(np.argsort(distinct.to_numpy(np.float64)))
        if len(rank) > MOST_VALUES:
            rank = rank * MOST_VALUES // len(rank)
    else:
        words = {word: place for place, word in enumerate(in_order(str(column.name), distinct))}
        rank = np.array([words[word] for word in distinct], np.int64)
    last = rank.max(initial=-1) + 1
    found: _Codes = np.append(rank, last)[codes]  # null's code is -1
    return found


def _rows(group: _Settings) -> Iterator[dict[str, object]]:
    """The rows of one optimizer, or of all; none where nothing can be told."""
    trials = int(group.trials.sum())
    several = len(set(group.codes[:, 0].tolist())) > 1
    group = group.drawn(MOST_SETTINGS if several else MOST_SETTINGS_OF_ONE)
    shares = _of_leaks(group)
    apart = _of_top(group, group.leaks, int((group.leaks >= 0.5).sum()))
    leaking = group.chosen(~np.isnan(group.drift))
    worst = _of_top(leaking, leaking.ranks(), len(leaking.drift) // WORST)
    if shares is None and not worst:
        return
    varying = _varying(group)
    alone = dict(zip(varying, shares.alone, strict=True)) if shares else {}
    for place in varying:
        yield {
            "axis": AXES[place],
            "values": len(np.unique(group.codes[:, place])),
            "fanova": alone.get(place),
            "ped_anova": apart.get(place),
            "worst_drift": worst.get(place),
            "explained": shares.explained if shares else None,
            "together": max(0.0, 1 - sum(shares.alone)) if shares else None,
            "settings": len(group.leaks),
            "trials": trials,
        }


def _of_leaks(group: _Settings) -> Shares | None:
    """fANOVA's shares for whether a setting leaks; None where all or none of them do."""
    if len(set(group.leaks)) < 2:
        return None
    return fanova(_design(group), tuple(group.leaks.tolist()))


def _of_top(group: _Settings, response: _Values, top: int) -> dict[int, float]:
    """PED-ANOVA's share of each varying axis by its place; none where ``top`` is none or all."""
    if not 0 < top < len(response) or len(set(response)) < 2:
        return {}
    shares = ped_anova(_design(group), tuple(response.tolist()), top)
    return dict(zip(_varying(group), shares, strict=True))


def _varying(group: _Settings) -> list[int]:
    """The places of the axes that have several values; there is one where settings differ."""
    return [place for place, column in enumerate(group.codes.T) if len(set(column.tolist())) > 1]


def _design(group: _Settings) -> Design:
    """The varying axes with the values that occur numbered from 0 on."""
    columns = [np.unique(group.codes[:, p], return_inverse=True)[1] for p in _varying(group)]
    return tuple(map(tuple, np.column_stack(columns).tolist()))
