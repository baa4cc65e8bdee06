"""What a search looks for: a measure of a trial, and whether more or less of it is wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal

from sweep.values.words import Verdict

Direction = Literal["minimize", "maximize"]
SCORE_CHANGE = "score_change"
"""What a leak does to a trial's score; see `sweep.searching.twins`."""


class Objective(StrEnum):
    """A column of ``trial`` that a search makes as large as it can, or as small.

    Of ``score`` it is what the leak does to it: a score that is low for another reason is no
    leak's.
    """

    DRIFT_RATIO = "drift_ratio"
    TOTAL_DRIFT = "total_drift"
    MAX_DRIFT = "max_drift"
    LEAKED_STEPS = "leaked_steps"
    FINAL_LOSS = "final_loss"
    SCORE = "score"

    @property
    def direction(self) -> Direction:
        """Optuna's word for what is looked for: the worst drift, but the best loss."""
        least = (Objective.FINAL_LOSS, Objective.SCORE)
        return "minimize" if self in least else "maximize"

    @property
    def column(self) -> str:
        """What a row has of it."""
        return SCORE_CHANGE if self is Objective.SCORE else self.value


def values(row: Mapping[str, Any], objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The ``objectives`` of a trial's columns; None where the trial cannot be ranked by them.

    It cannot if it failed, if its training diverged, which says nothing of a leak, or if one
    of them is null or not finite (``drift_ratio`` is null where the layer never trained).
    """
    if row["verdict"] == Verdict.FAILED or row["diverged"]:
        return None
    found = [row[objective.column] for objective in objectives]
    if any(value is None or not math.isfinite(value) for value in found):
        return None
    return tuple(float(value) for value in found)
