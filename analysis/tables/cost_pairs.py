"""What a leak costs: each leaking setting beside its twin that holds, seed by seed.

The twin differs in the remedy alone, so that what tells the two scores apart is what the remedy
changes. For ``zero_grad = zero`` that is the leak. For ``never`` it is the leak and everything
else that uncleared grads do: the other layers, too, learn from sums of old gradients.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.schema import SETTING_KEYS, beside

COSTED = (
    *("sweep", *SETTING_KEYS, "seed", "verdict", "causes"),
    *("score", "final_loss", "total_drift", "frozen_norm"),
)
"""The columns of trials that the table reads."""

TWINS = (("zero_grad", "none"), ("freeze", "grad_none"), ("freeze", "own_optimizer"))
"""Where a twin is looked for, in this order; one of which a trial with a score leaks is none."""

ALPHA = 0.05
FEWEST_SEEDS = 4
"""Below this many pairs of seeds nothing is said: no interval of three numbers means much."""

_RESAMPLES = 1_999
_BATCH = 250  # resamples at once: some megabytes a hundred settings
_Changes = npt.NDArray[np.float64]


def cost(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each setting that leaks and has a twin that holds, from trials with scores.

    Differences are the leaking trial's number less its twin's of the same seed, so that a
    negative ``score_change`` is a cost. Columns, after those of the setting:

    - ``remedy``: in what the twin differs; ``causes`` of the leak, those of most seeds;
    - ``seeds``: pairs with both scores; ``worse`` and ``better``: in how many of them the
      leaking one scored lower, or higher;
    - ``score``, ``remedied_score``: medians over these seeds;
    - ``score_change``, ``score_low``, ``score_high``: median difference, and the 95% interval of
      that median (percentile bootstrap over seeds, 1,999 resamples, scipy's);
    - ``loss_change``, ``loss_low``, ``loss_high``: the same of the final loss, null where that of
      one of these seeds is not a number;
    - ``relative_drift``: median of ``total_drift / frozen_norm``;
    - ``p``: of a paired t-test that the mean score change is 0; ``p_corrected``: by Holm's
      step-down method over the ``comparisons`` of the sweep, all rows that have a ``p``;
    - ``finding``: ``worse`` or ``better`` where the interval leaves 0 out and ``p_corrected`` is
      below 0.05, and else what the seeds could not show.

    The t-test stands beside the bootstrap since no rank test of ten seeds can come below
    1 in 512, whatever it sees, which no correction for hundreds of comparisons would let pass.
    S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    pairs = _pairs(frame[frame["score"].notna()])
    if pairs.empty:
        return pd.DataFrame(columns=_COLUMNS)
    settings = pairs.groupby("setting")
    table = pd.DataFrame([_measured(own) for _, own in settings])
    for measure in ("score", "loss"):
        table = _with_intervals(table, measure)
    p = table.groupby("sweep")["p"]
    table = table.assign(p_corrected=p.transform(_holm), comparisons=p.transform("count"))
    return table.assign(finding=[_in_words(row) for row in table.itertuples()])[[*_COLUMNS]]


def _pairs(trials: pd.DataFrame) -> pd.DataFrame:
    """A row for each trial of a leaking setting and its twin's number of the same seed.

    Columns: those of ``trials``, ``setting`` (a number), ``remedy``, and the twin's measures as
    ``score_twin`` and so on. In order of settings and of seeds, which intervals know.
    """
    keys = ["sweep", *SETTING_KEYS]
    setting = trials.groupby(keys, observed=True, dropna=False).ngroup()
    leaks = setting.isin(setting[trials["verdict"] == "leaks"])
    holds = ~setting.isin(setting[trials["verdict"] != "holds"])
    paired = trials.assign(setting=setting, remedy=None)[leaks]
    twin = pd.Series(np.nan, paired.index)
    for axis, value in TWINS:
        other = beside(trials, [*keys, "seed"], axis, holds & (trials[axis] == value))[leaks]
        is_first = ~paired["setting"].isin(paired["setting"][twin.notna()])
        twin = twin.mask(is_first, other)
        paired["remedy"] = paired["remedy"].mask(is_first, f"{axis} = {value}")
    measures = {f"{name}_twin": twin.map(trials[name]) for name in ("score", "final_loss")}
    return paired.assign(**measures)[twin.notna()].sort_values(["setting", "seed"])


def _measured(pairs: pd.DataFrame) -> dict[Hashable, object]:
    """What the pairs of one leaking setting say, with its changes seed by seed."""
    named = pairs[["sweep", *SETTING_KEYS, "remedy"]].iloc[0]
    score = _change(pairs, "score")
    return {
        **named.where(named.notna(), None).to_dict(),
        "causes": next(iter(pairs["causes"][pairs["verdict"] == "leaks"].mode()), None),
        "seeds": len(score),
        "worse": int((score < 0).sum()),
        "better": int((score > 0).sum()),
        "score": pairs["score"].median(),
        "remedied_score": pairs["score_twin"].median(),
        "score_change": score,
        "loss_change": _change(pairs, "final_loss"),
        "relative_drift": (pairs["total_drift"] / pairs["frozen_norm"]).median(),
        "p": _p(score),
    }


def _change(pairs: pd.DataFrame, column: str) -> _Changes:
    """The differences, seed by seed; none at all where one of them is not a number.

    Those of the seeds that did not diverge would speak well of a leak that made others do.
    """
    change = (pairs[column] - pairs[f"{column}_twin"]).to_numpy("float64")
    return change if np.isfinite(change).all() else change[:0]


def _with_intervals(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """``table`` with the arrays of ``<measure>_change`` as their medians and 95% intervals."""
    from scipy.stats import bootstrap

    changes = table[f"{measure}_change"]
    median = changes.map(lambda each: float(np.median(each)) if len(each) else np.nan)
    low, high = (pd.Series(np.nan, index=table.index, dtype="float64") for _ in range(2))
    for _, alike in changes[changes.map(len) >= FEWEST_SEEDS].groupby(changes.map(len)):
        interval = bootstrap(
            (np.stack(alike.to_list()),),
            np.median,
            axis=-1,
            n_resamples=_RESAMPLES,
            batch=_BATCH,
            method="percentile",
            vectorized=True,
            rng=np.random.default_rng(0),  # the same table each time it is made
        ).confidence_interval
        low[alike.index], high[alike.index] = interval.low, interval.high
    bounds = {f"{measure}_change": median, f"{measure}_low": low, f"{measure}_high": high}
    return table.assign(**bounds)


def _p(changes: _Changes) -> float:
    """Two-sided, that the mean of ``changes`` is 0; NaN where there are too few.

    Where all are the same number no t-test can be had; then it is that of a sign test.
    """
    if len(changes) < FEWEST_SEEDS:
        return np.nan
    if np.ptp(changes) == 0:
        return 1.0 if changes[0] == 0 else 2.0 ** (1 - len(changes))
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(changes, 0.0).pvalue)


def _holm(p: pd.Series) -> pd.Series:
    """``p`` corrected for as many comparisons as there are; NaN stays NaN and counts for none."""
    known = p.dropna().sort_values()
    steps = np.arange(len(known), 0, -1)
    corrected = np.maximum.accumulate(known.to_numpy() * steps).clip(max=1.0)
    return pd.Series(corrected, index=known.index).reindex(p.index)


def _in_words(row: Any) -> str:
    if np.isnan(row.p_corrected):
        return f"{row.seeds} seed{'s' * (row.seeds != 1)} cannot tell"
    if row.p_corrected < ALPHA and (row.score_high < 0 or row.score_low > 0):
        return "better" if row.score_low > 0 else "worse"
    return f"no difference that {row.seeds} seeds can show"


_COLUMNS = (
    *("sweep", *SETTING_KEYS, "remedy", "causes", "finding", "seeds", "worse", "better"),
    *("score", "remedied_score", "score_change", "score_low", "score_high"),
    *("loss_change", "loss_low", "loss_high", "relative_drift", "p", "p_corrected", "comparisons"),
)
