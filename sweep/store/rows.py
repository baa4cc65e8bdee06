"""How an outcome becomes rows: one of ``trial``, and one of ``step`` for each traced step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from sweep.values.outcome import CAUSE_FLAGS, Measurement, Outcome, StepRecord
from sweep.values.setting import Setting

_SETTING = tuple(field.name for field in fields(Setting))
_PLANNED = ("workload", "steps", "options", "fingerprint")
_MEASURED = tuple(field.name for field in fields(Measurement))
_SHOWN = (
    *("optimizer_package", "verdict", "moved", "unexplained", "sideways"),
    *("train_seconds", "error", "finished_at", "proposal"),
)
_STEP = tuple(field.name for field in fields(StepRecord))


def trial_row(outcome: Outcome, sweep_id: int, environment_id: int) -> dict[str, Any]:
    """The columns of ``trial``, but for its id, by name."""
    planned, causes = outcome.planned, outcome.causes
    return {
        "sweep_id": sweep_id,
        "environment_id": environment_id,
        **_columns(planned.setting, _SETTING),
        **_columns(planned, _PLANNED),
        **_columns(outcome, _SHOWN),
        **_columns(outcome.measurement, _MEASURED),
        **_columns(causes, CAUSE_FLAGS),
        "causes": None if causes is None else causes.sets,
    }


def step_rows(outcome: Outcome, trial_id: int) -> Iterator[dict[str, Any]]:
    """The rows of ``step`` of a traced trial, in order."""
    return ({"trial_id": trial_id, **_columns(step, _STEP)} for step in outcome.steps)


def _columns(source: object, names: tuple[str, ...]) -> dict[str, Any]:
    if source is None:
        return dict.fromkeys(names)
    return {name: _storable(getattr(source, name)) for name in names}


def _storable(value: Any) -> Any:
    """``value`` without what databases cannot keep, or disagree about.

    That is NaN, which is null in all of them, and zero bytes and lone surrogates in texts.
    """
    if not isinstance(value, str):
        return None if value != value else value
    text = str(value)
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
