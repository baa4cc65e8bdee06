"""How much each axis matters among settings that were searched, by Optuna's fANOVA.

A forest is grown on them, and its variance taken apart; how far to trust that is what the
forest says of settings that it was not shown. Optuna and scikit-learn are imported where they
are used: the other tables do without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd

MOST_SETTINGS = 1000  # of more, that many are drawn, the same for the same settings
TREES = 32  # twice as many move no share by more than 0.006
_DEPTH = 64  # Optuna's own
_SEED = 0


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
    from sklearn.ensemble import RandomForestRegressor  # type: ignore[import-untyped]

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
