"""What a leak costs: each leaking setting beside its twin that holds, seed by seed.

The twin differs in the remedy alone, so that what tells the two scores apart is what the remedy
changes. For ``zero_grad = zero`` that is the leak. For ``never`` it is the leak and everything
else that uncleared grads do: the other layers, too, learn from sums of old gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.schema import SETTING_KEYS

COSTED = (
    "sweep",
    *SETTING_KEYS,
    "seed",
    "verdict",
    "causes",
    "score",
    "final_loss",
    "total_drift",
    "frozen_norm",
)
"""The columns of trials that the table reads."""

TWINS = (("zero_grad", "none"), ("freeze", "grad_none"), ("freeze", "own_optimizer"))
"""Where a twin is looked for, in this order; one of which a trial with a score leaks is none."""

ALPHA = 0.05
FEWEST_SEEDS = 4
"""Below this many pairs of seeds nothing is said: no interval of three numbers means much."""

_RESAMPLES = 1_999
_BATCH = 250  # resamples at once: some megabytes a hundred settings
_WORDS = ("worse", "better")
_Numbers = npt.NDArray[np.float64]


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
    scored = frame[frame["score"].notna()]
    rows = [row for _, sweep in scored.groupby("sweep", observed=True) for row in _rows(sweep)]
    if not rows:
        return pd.DataFrame(columns=_COLUMNS)
    table = pd.DataFrame(rows)
    for measure in ("score", "loss"):
        table = _with_intervals(table, measure)
    corrected = table.groupby("sweep", observed=True)["p"].transform(_holm)
    comparisons = table.groupby("sweep", observed=True)["p"].transform("count")
    table = table.assign(p_corrected=corrected, comparisons=comparisons)
    return table.assign(finding=[_in_words(row) for row in table.itertuples()])[[*_COLUMNS]]


@dataclass(frozen=True, slots=True)
class _Sides:
    """One leaking setting and its twin, of the seeds that both have, in one order."""

    leaking: pd.DataFrame
    twin: pd.DataFrame
    remedy: str

    def change(self, column: str) -> _Numbers:
        """The differences, seed by seed; none at all where one of them is not a number.

        Those of the seeds that did not diverge would speak well of a leak that made others do.
        """
        ours, theirs = (side[column].to_numpy("float64") for side in (self.leaking, self.twin))
        change: _Numbers = ours - theirs
        return change if np.isfinite(change).all() else change[:0]


def _rows(sweep: pd.DataFrame) -> Iterator[dict[str, object]]:
    settings = {
        tuple(key): trials.set_index("seed").sort_index()  # intervals know the order
        for key, trials in sweep.groupby(list(SETTING_KEYS), observed=True, dropna=False)
    }
    settings = {_plain(key): trials for key, trials in settings.items()}
    for key, trials in settings.items():
        if not (trials["verdict"] == "leaks").any():
            continue
        sides = _beside_a_twin(key, trials, settings)
        if sides is not None:
            yield {
                "sweep": trials["sweep"].iloc[0],
                **dict(zip(SETTING_KEYS, key, strict=True)),
            } | (_measured(sides))


def _plain(key: tuple[object, ...]) -> tuple[object, ...]:
    """``key`` with each null as None: NaN equals no other NaN, and would find no twin."""
    return tuple(None if pd.isna(value) else value for value in key)  # type: ignore[call-overload]


def _beside_a_twin(
    key: tuple[object, ...],
    trials: pd.DataFrame,
    settings: dict[tuple[object, ...], pd.DataFrame],
) -> _Sides | None:
    for axis, value in TWINS:
        other = list(key)
        other[SETTING_KEYS.index(axis)] = value
        twin = settings.get(tuple(other))
        if twin is None or tuple(other) == key or not (twin["verdict"] == "holds").all():
            continue
        seeds = trials.index.intersection(twin.index)
        if len(seeds):
            return _Sides(trials.loc[seeds], twin.loc[seeds], f"{axis} = {value}")
    return None


def _measured(sides: _Sides) -> dict[str, object]:
    leaking = sides.leaking[sides.leaking["verdict"] == "leaks"]
    score = sides.change("score")
    return {
        "remedy": sides.remedy,
        "causes": next(iter(leaking["causes"].mode()), None),
        "seeds": len(score),
        "worse": int((score < 0).sum()),
        "better": int((score > 0).sum()),
        "score": sides.leaking["score"].median(),
        "remedied_score": sides.twin["score"].median(),
        "score_change": score,
        "loss_change": sides.change("final_loss"),
        "relative_drift": (sides.leaking["total_drift"] / sides.leaking["frozen_norm"]).median(),
        "p": _p(score),
    }


def _with_intervals(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """``table`` with the arrays of ``<measure>_change`` as their medians and 95% intervals."""
    changes = table[f"{measure}_change"]
    median = changes.map(lambda each: float(np.median(each)) if len(each) else np.nan)
    low, high = (pd.Series(np.nan, index=table.index, dtype="float64") for _ in range(2))
    for seeds, alike in changes.groupby(changes.map(len)):
        if int(str(seeds)) >= FEWEST_SEEDS:
            low[alike.index], high[alike.index] = _intervals(np.stack(alike.to_list()))
    bounds = {f"{measure}_change": median, f"{measure}_low": low, f"{measure}_high": high}
    return table.assign(**bounds)


def _intervals(changes: _Numbers) -> tuple[_Numbers, _Numbers]:
    """The bounds of the median of each row of ``changes``, ``(settings, seeds)``."""
    from scipy.stats import bootstrap  # type: ignore[import-untyped]

    found = bootstrap(
        (changes,),
        np.median,
        axis=-1,
        n_resamples=_RESAMPLES,
        batch=_BATCH,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),  # the same table each time it is made
    ).confidence_interval
    return found.low, found.high


def _p(changes: _Numbers) -> float:
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


def _in_words(row: object) -> str:
    low, high, corrected, seeds = (
        getattr(row, name) for name in ("score_low", "score_high", "p_corrected", "seeds")
    )
    if np.isnan(corrected):
        return f"{seeds} seed{'s' * (seeds != 1)} cannot tell"
    if corrected < ALPHA and (high < 0 or low > 0):
        return _WORDS[low > 0]
    return f"no difference that {seeds} seeds can show"


_COLUMNS = (
    "sweep",
    *SETTING_KEYS,
    "remedy",
    "causes",
    "finding",
    "seeds",
    "worse",
    "better",
    "score",
    "remedied_score",
    "score_change",
    "score_low",
    "score_high",
    "loss_change",
    "loss_low",
    "loss_high",
    "relative_drift",
    "p",
    "p_corrected",
    "comparisons",
)
