"""How much each axis matters for whether a trial leaks, and for the worst drift.

In a grid the shares are exact: variances of averages over settings, with their seeds folded.
Where settings were searched there is no grid to average over; Optuna's fANOVA then grows a
forest on them and takes its variance apart, and how far to trust that is what the forest says
of settings that it was not shown. The table `rules` says exactly which axes decide, where there
is a rule. Optuna and scikit-learn are imported where they are used: grids do without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import MOST_VALUES, NUMERIC_AXES, SETTING_AXES, searched, tallied
from analysis.tables.leak_rules import find_rules

OVER_ALL = "(all)"
"""In ``optimizer``: the rows over all optimizers of a sweep that has several."""
_DIGITS = 12  # beyond these a difference is one of rounding
WORST = 10  # one in so many leaking settings has the worst drift
MOST_SETTINGS = 1000  # for a forest; of more, that many are drawn, the same for the same settings
TREES = 32  # twice as many move no share by more than 0.006
_DEPTH = 64  # Optuna's own
_SEED = 0

_KINDS = {
    **dict.fromkeys(("sweep", "optimizer", "axis"), "string"),
    "values": "int64",
    **dict.fromkeys(("main_effect", "total_effect", "worst_drift"), "float64"),
    "in_rule": "string",
    **dict.fromkeys(("together", "explained"), "float64"),
    **dict.fromkeys(("settings", "trials"), "int64"),
}


def importance(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each sweep, optimizer and axis that the optimizer was run with several values of.

    Of a sweep with several optimizers the first rows, whose ``optimizer`` is ``(all)``, are
    over all of them. What always leaks or never has rows only where its worst drift can be
    told.

    Columns: ``sweep``, ``optimizer``, ``axis``, ``values`` (how many it has; a searched number
    is cut into at most 16 parts). Of the variance of whether a setting leaks, ``main_effect``
    is the share of the averages at the axis's values, null where settings are no full product
    of the axes' values, as averages then mix axes; ``total_effect`` the share that is left
    among settings that agree in all other axes, null where none do. ``worst_drift`` is the
    axis's share of what sets the tenth of leaking settings with the largest drift_ratio
    apart, null for fewer than 10. ``in_rule`` is ``yes`` or ``no``, null where `rules` has no
    exact one. For all axes at once, ``together`` is what they make only together and
    ``explained``, null in a grid, the R^2 of fANOVA's forest on settings that it was not
    shown; where that is 0 or less its shares are left out. ``settings`` and ``trials`` are
    those that leak or hold.
    """
    decided = frame[frame["verdict"].isin(["leaks", "holds"])]
    found = find_rules(decided)
    rows = []
    for sweep, trials in decided.groupby("sweep", observed=True):
        settings, is_searched = _settings(trials), bool(searched(trials).any())
        for optimizer, group in _groups(settings):
            rule = found.get((str(sweep), optimizer))
            used = rule.rule.axes if rule is not None and rule.exact else None
            for row in _shares(group, is_searched):
                known = None if used is None else "yes" if row["axis"] in used else "no"
                rows.append({"sweep": sweep, "optimizer": optimizer, "in_rule": known} | row)
    return pd.DataFrame(rows, columns=list(_KINDS)).astype(_KINDS)


def _settings(trials: pd.DataFrame) -> pd.DataFrame:
    """A row a setting: its axes as text, ``trials``, the share that ``leaks``, median ``drift``."""
    keys, leaks = list(SETTING_AXES), trials["verdict"] == "leaks"
    drifts = trials.assign(drift=trials["drift_ratio"].where(leaks))
    drift = drifts.groupby(keys, observed=True, dropna=False)["drift"].median()
    rows = tallied(trials, keys).assign(drift=drift).reset_index()
    rows["trials"] = rows["leaks"] + rows["holds"]
    rows["leaks"] = rows["leaks"] / rows["trials"]
    if searched(trials).any():
        rows[[*NUMERIC_AXES]] = rows[[*NUMERIC_AXES]].apply(_parts)
    axes = rows[keys].astype("object")
    return rows.assign(**axes.where(axes.notna(), None))


def _parts(numbers: pd.Series) -> pd.Series:
    """Each of the numbers by the place of its part, where there are many of them."""
    if numbers.nunique() <= MOST_VALUES:
        return numbers
    rank = numbers.rank(method="dense")
    return ((rank - 1) * MOST_VALUES // rank.max()).where(numbers.notna())


def _groups(settings: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """All of them where there are several optimizers, then those of each, by name."""
    each = list(settings.groupby("optimizer", sort=True))
    if len(each) > 1:
        yield OVER_ALL, settings
    yield from ((str(name), group) for name, group in each)


def _shares(group: pd.DataFrame, is_searched: bool) -> Iterator[dict[str, Any]]:
    """The rows of one optimizer, or of all; none where nothing can be told."""
    values = {axis: group[axis].nunique(dropna=False) for axis in SETTING_AXES}
    varying = [axis for axis in SETTING_AXES if values[axis] > 1]
    differ = group["leaks"].nunique() > 1
    worst = _worst(group, varying)
    if not varying or not (differ or worst):
        return
    main: dict[str, float] = {}
    explained = None
    if differ and is_searched:
        main, explained = fanova(group[varying], group["leaks"])
    elif differ and len(group) == np.prod([values[axis] for axis in varying]):
        main = _main_effects(group, varying)
    for axis in varying:
        yield {
            "axis": axis,
            "values": values[axis],
            "main_effect": main.get(axis),
            "total_effect": None if is_searched else _total_effect(group, axis, varying),
            "worst_drift": worst.get(axis),
            "together": max(0.0, 1 - sum(main.values())) if main else None,
            "explained": explained,
            "settings": len(group),
            "trials": group["trials"].sum(),
        }


def overall_effects(frame: pd.DataFrame) -> dict[str, float]:
    """The ``total_effect`` of each axis over all optimizers of a grid, the largest first.

    Those that `importance` has in its first rows for the sweep, of which ``frame`` holds one.
    """
    settings = _settings(frame[frame["verdict"].isin(["leaks", "holds"])])
    varying = [axis for axis in SETTING_AXES if settings[axis].nunique(dropna=False) > 1]
    found = {axis: _total_effect(settings, axis, varying) for axis in varying}
    known = {axis: share for axis, share in found.items() if share is not None}
    return dict(sorted(known.items(), key=lambda item: -item[1]))


def _main_effects(group: pd.DataFrame, varying: list[str]) -> dict[str, float]:
    """The variance of the averages at each axis's values, as a share of the whole."""
    leaks = group["leaks"]
    averages = {a: leaks.groupby([group[a]], dropna=False).transform("mean") for a in varying}
    whole = leaks.var(ddof=0)
    return {axis: round(each.var(ddof=0) / whole, _DIGITS) for axis, each in averages.items()}


def _total_effect(group: pd.DataFrame, axis: str, varying: list[str]) -> float | None:
    """The share of the variance of ``leaks`` that is left where all axes but one agree.

    Over the settings that have such a counterpart; None where none has, or all of those agree.
    In a full product this is the total-effect index.

    Homma and Saltelli, "Importance measures in global sensitivity analysis", 1996.
    """
    leaks = group["leaks"]
    others = [group[name] for name in varying if name != axis] or [pd.Series(0, group.index)]
    blocks = leaks.groupby(others, dropna=False)
    matched = blocks.transform("size") > 1
    left = ((leaks - blocks.transform("mean"))[matched] ** 2).sum()
    whole = ((leaks[matched] - leaks[matched].mean()) ** 2).sum()
    return round(float(left / whole), _DIGITS) if whole > 0 else None


def _worst(group: pd.DataFrame, varying: list[str]) -> dict[str, float]:
    """Each axis's share of how differently it is spread in the worst tenth and in all.

    The Pearson divergence of the two distributions, after Watanabe, Bansal and Hutter,
    "PED-ANOVA", IJCAI 2023, with the exact frequencies. Ties count as worst. Empty for fewer
    than ten settings, where all drift alike, or where no axis differs.
    """
    leaking = group[group["drift"].notna()]
    top = len(leaking) // WORST
    if not top or leaking["drift"].nunique() < 2:
        return {}
    worst = leaking[leaking["drift"] >= leaking["drift"].nlargest(top).min()]
    apart = {axis: _divergence(worst[axis], leaking[axis]) for axis in varying}
    whole = sum(apart.values())
    return {axis: each / whole for axis, each in apart.items()} if whole else {}


def _divergence(some: pd.Series, every: pd.Series) -> float:
    expected = every.value_counts(normalize=True, dropna=False)
    seen = some.value_counts(normalize=True, dropna=False).reindex(expected.index, fill_value=0.0)
    return float((expected * (seen / expected - 1) ** 2).sum())


def fanova(axes: pd.DataFrame, response: pd.Series) -> tuple[dict[str, float], float]:
    """The share of the variance of ``response`` that each axis makes alone, and the forest's R^2.

    ``axes`` has a column for each axis that has several values, of few values each; they weigh
    alike. What the shares lack to 1 is made by axes together. The R^2 is on settings that a
    tree was not shown: at most 1. Where it is 0 or less there are no shares, as the forest then
    knows no more than an average.

    Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter
    Importance", ICML 2014.
    """
    if len(axes) > MOST_SETTINGS:
        axes = axes.sample(MOST_SETTINGS, random_state=_SEED)
        response = response[axes.index]
    codes = axes.apply(lambda axis: _ranked(axis, response)).astype(float)
    with _quiet():
        explained = _explained(codes, response)
        return (_evaluated(codes, response) if explained > 0 else {}), explained


def _ranked(axis: pd.Series, response: pd.Series) -> pd.Series:
    """The place of each value of ``axis`` by rising mean of ``response``.

    A tree's best split of words lies between two neighbours in that order (Breiman et al.,
    "Classification and Regression Trees", 1984, theorem 4.5). Optuna would make a column of
    each word instead, and walk each tree 2^k times for k words.
    """
    words = axis.map(str)  # which null has, too, unlike astype's
    return words.map(response.groupby(words).mean().rank(method="first") - 1)


def _evaluated(codes: pd.DataFrame, response: pd.Series) -> dict[str, float]:
    import optuna
    from optuna.distributions import FloatDistribution

    kinds = {str(name): FloatDistribution(-0.5, codes[name].max() + 0.5) for name in codes}
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                params=dict(zip(kinds, row, strict=True)), distributions=dict(kinds), value=value
            )
            for row, value in zip(codes.to_numpy().tolist(), response, strict=True)
        ]
    )
    evaluator = optuna.importance.FanovaImportanceEvaluator(
        n_trees=TREES, max_depth=_DEPTH, seed=_SEED
    )
    found = optuna.importance.get_param_importances(
        study, evaluator=evaluator, params=list(kinds), normalize=False
    )
    return {axis: float(found[axis]) for axis in kinds}


def _explained(codes: pd.DataFrame, response: pd.Series) -> float:
    """The out-of-bag R^2 of a forest like the one that fANOVA stands on."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(TREES, max_depth=_DEPTH, random_state=_SEED, oob_score=True)
    forest.fit(np.asarray(codes), response)
    return float(forest.oob_score_)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna without its log; no remarks on what is experimental, or on few settings."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
