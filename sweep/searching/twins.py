"""What a leak costs in score: a trial's, less that of its twin, of the same seed.

The twin is the same setting with the layer's grad set to None just before each frozen step,
which keeps it still and changes nothing else. It is run beside the trial and counts where it
holds. A trial that holds costs nothing; of one whose twin leaks, too, nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweep.errors import MisuseError
from sweep.searching.objective import SCORE_CHANGE, Objective
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Axis, Freeze, Verdict


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


def twin_of(planned: PlannedTrial) -> PlannedTrial | None:
    """The trial that differs in the remedy alone; None for one that has it."""
    if planned.setting.freeze is Freeze.GRAD_NONE:
        return None
    return replace(planned, setting=replace(planned.setting, freeze=Freeze.GRAD_NONE))


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


def with_score_change(
    rows: Sequence[Mapping[str, Any]],
    objectives: Sequence[Objective],
    known: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """``rows`` of ``trial``, with what each leak costs where that is looked for.

    ``known`` has the rows among which twins are looked for, by fingerprint; None for ``rows``.
    """
    if Objective.SCORE not in objectives:
        return [dict(row) for row in rows]
    known = {row["fingerprint"]: row for row in rows} if known is None else known
    return [dict(row) | {SCORE_CHANGE: score_change(row, _twin(row, known))} for row in rows]


def _twin(
    row: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The row of the trial's twin; None where there is none, and for a row that is no setting's."""
    try:
        setting = Setting(**{axis: row[axis] for axis in Axis})
    except ValueError:
        return None
    twin = twin_of(PlannedTrial(setting, row["workload"], row["steps"], row["options"]))
    return None if twin is None else known.get(twin.fingerprint)
