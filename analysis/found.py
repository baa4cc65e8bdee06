"""What a search found: its worst settings, its Pareto front, and the edges of a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis.schema import SETTING_AXES, beside

CHANGE_OF_SCORE = "score_change"
"""What a search for ``score`` looks for: a score that is low for another reason is no leak's."""
SMALLER = frozenset({"final_loss", CHANGE_OF_SCORE})
"""Objectives of which less is looked for; of any other, more."""
_LINE = (*SETTING_AXES, "seed", "options")


def with_change_of_score(trials: pd.DataFrame) -> pd.DataFrame:
    """``trials`` of a search, with what each one's leak does to its score as ``score_change``.

    That is its score, less that of the trial which differs in ``freeze = grad_none`` alone and
    holds; null where there is none. 0 for a trial that holds.
    """
    remedied = (trials["freeze"] == "grad_none") & (trials["verdict"] == "holds")
    twins = beside(trials, _LINE, "freeze", remedied).map(trials["score"])
    change = (trials["score"] - twins).where(trials["verdict"] == "leaks")
    holds = (trials["verdict"] == "holds") & trials["score"].notna()
    return trials.assign(**{CHANGE_OF_SCORE: change.mask(holds, 0.0)})


def worst_first(trials: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """The trials that can be ranked by all ``objectives``, the worst by the first one first.

    That are those that did not fail or diverge and have a finite number for each.
    """
    numbers = trials[list(objectives)].astype("float64")
    finite = np.isfinite(numbers.to_numpy()).all(axis=1)
    ended = (trials["verdict"] != "failed") & ~trials["diverged"].fillna(True).astype(bool)
    kept: pd.DataFrame = trials[finite & ended]
    return kept.sort_values(objectives[0], ascending=objectives[0] in SMALLER, kind="stable")


def pareto(trials: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """The trials of `worst_first` that no other beats in one objective and equals in the rest."""
    ranked = worst_first(trials, objectives)
    signs = [1.0 if objective in SMALLER else -1.0 for objective in objectives]
    values = ranked[list(objectives)].to_numpy("float64") * signs
    kept: list[int] = []
    for place in np.lexsort(values.T[::-1]):
        better = values[kept] <= values[place]
        if not (better.all(axis=1) & (values[kept] < values[place]).any(axis=1)).any():
            kept.append(int(place))
    return ranked.iloc[sorted(kept)]


def edges(trials: pd.DataFrame, axis: str) -> pd.DataFrame:
    """One row for each change of the verdict along ``axis``, where all else agrees.

    Columns: the other axes, ``seed``, ``options``; ``below`` and ``above``, the two values that
    are nearest to the change, with ``verdict_below`` and ``verdict_above``; ``drift``, the total
    drift of the side that leaks, NaN where neither does.
    """
    others = [name for name in _LINE if name != axis]
    rows = []
    for _, line in trials.sort_values(axis).groupby(others, observed=True, dropna=False):
        for below, above in pairwise(line.to_dict("records")):
            if below["verdict"] != above["verdict"]:
                sides = {"below": below[axis], "above": above[axis]}
                verdicts = {"verdict_below": below["verdict"], "verdict_above": above["verdict"]}
                leaking = [e["total_drift"] for e in (below, above) if e["verdict"] == "leaks"]
                drift = {"drift": leaking[0] if leaking else np.nan}
                rows.append({name: below[name] for name in others} | sides | verdicts | drift)
    columns = [*others, "below", "above", "verdict_below", "verdict_above", "drift"]
    return pd.DataFrame(rows, columns=columns)
