"""What a search looks for: a measure of a trial, and whether more or less of it is wanted.

What a leak costs in score is a trial's, less that of its twin, of the same seed. The twin is the
same setting with the layer's grad set to None just before each frozen step, which keeps it still
and changes nothing else. It is run beside the trial and counts where it holds. A trial that holds
costs nothing; of one whose twin leaks, too, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, Literal

from sweep.errors import MisuseError
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Axis, Freeze, Verdict

Direction = Literal["minimize", "maximize"]
Rows = Mapping[str, Mapping[str, Any]]
"""Rows of ``trial`` by fingerprint."""


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
        """What tables call it."""
        return "score_change" if self is Objective.SCORE else self.value


def check_scored(workload: str, objectives: Sequence[Objective]) -> None:
    """Raises MisuseError where a score is looked for and the workload has none; builds it."""
    if Objective.SCORE not in objectives:
        return
    from sweep.workloads.built_in import build_workload

    if build_workload(workload, 0, "cpu").score is None:
        raise MisuseError(
            f"--objective score needs a workload with a score, and {workload} has none. Take "
            f"--workload digits, or one of your own with a score."
        )


def values(
    row: Mapping[str, Any], objectives: Sequence[Objective], known: Rows
) -> tuple[float, ...] | None:
    """The ``objectives`` of a trial's columns; None where the trial cannot be ranked by them.

    It cannot if it failed, if its training diverged, which says nothing of a leak, or if one
    of them is null or not finite (``drift_ratio`` is null where the layer never trained).
    ``known`` are the rows among which its twin is looked for.
    """
    if row["verdict"] == Verdict.FAILED or row["diverged"]:
        return None
    found: list[Any] = [
        score_change(row, _twin(row, known)) if each is Objective.SCORE else row[each]
        for each in objectives
    ]
    if any(value is None or not math.isfinite(value) for value in found):
        return None
    return tuple(float(value) for value in found)


def score_change(row: Mapping[str, Any], twin: Mapping[str, Any] | None) -> float | None:
    """What the leak of the trial of ``row`` does to its score, below 0 for a cost.

    0 for a trial that holds; None where a score is missing or the twin does not hold.
    """
    if row["verdict"] == Verdict.HOLDS:
        return None if row["score"] is None else 0.0
    if row["verdict"] != Verdict.LEAKS or twin is None or twin["verdict"] != Verdict.HOLDS:
        return None
    scores = row["score"], twin["score"]
    return None if None in scores else float(scores[0]) - float(scores[1])


def twin_of(planned: PlannedTrial) -> PlannedTrial | None:
    """The trial that differs in the remedy alone; None for one that has it."""
    if planned.setting.freeze is Freeze.GRAD_NONE:
        return None
    return replace(planned, setting=replace(planned.setting, freeze=Freeze.GRAD_NONE))


def _twin(row: Mapping[str, Any], known: Rows) -> Mapping[str, Any] | None:
    """The row of the trial's twin; None where there is none, and for a row that is no setting's."""
    try:
        setting = Setting(**{axis: row[axis] for axis in Axis})
    except ValueError:
        return None
    twin = twin_of(PlannedTrial(setting, row["workload"], row["steps"], row["options"]))
    return None if twin is None else known.get(twin.fingerprint)
