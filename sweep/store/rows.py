"""How an outcome becomes rows: one of ``trial``, and one of ``step`` for each traced step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from sweep.values.outcome import CAUSE_FLAGS, Causes, Environment, Measurement, Outcome
from sweep.values.setting import Setting

_SETTING = tuple(field.name for field in fields(Setting))
_MEASURED = tuple(field.name for field in fields(Measurement))
_NOT_MEASURED: dict[str, Any] = dict.fromkeys(_MEASURED)
_NO_CAUSES: dict[str, Any] = dict.fromkeys(CAUSE_FLAGS)


def trial_row(outcome: Outcome, sweep_id: int, environment_id: int) -> dict[str, Any]:
    """The columns of ``trial``, but for its id, by name."""
    planned, measured, causes = outcome.planned, outcome.measurement, outcome.causes
    row = {name: getattr(planned.setting, name) for name in _SETTING}
    row |= _NOT_MEASURED if measured is None else _columns(measured, _MEASURED)
    row |= _NO_CAUSES if causes is None else _columns(causes, CAUSE_FLAGS)
    return row | {
        "sweep_id": sweep_id,
        "environment_id": environment_id,
        "fingerprint": planned.fingerprint,
        "workload": planned.workload,
        "steps": planned.steps,
        "options": planned.options,
        "optimizer_package": outcome.optimizer_package,
        "verdict": str(outcome.verdict),
        "moved": outcome.moved,
        "causes": None if causes is None else causes.sets,
        "unexplained": _storable(outcome.unexplained),
        "sideways": outcome.sideways,
        "train_seconds": outcome.train_seconds,
        "error": _storable(outcome.error),
        "finished_at": outcome.finished_at,
        "proposal": outcome.proposal,
    }


def step_rows(outcome: Outcome, trial_id: int) -> Iterator[dict[str, Any]]:
    """The rows of ``step`` of a traced trial, in order."""
    for step in outcome.steps:
        yield {
            "trial_id": trial_id,
            "step": step.step,
            "frozen": step.frozen,
            "loss": _number(step.loss),
            "grad": str(step.grad),
            "moved": step.moved,
            "max_change": _number(step.max_change),
            "score": step.score,
        }


def environment_row(environment: Environment) -> dict[str, Any]:
    """The columns of ``environment``, but for its id, by name."""
    return asdict(environment)


def _columns(source: Measurement | Causes, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _number(getattr(source, name)) for name in names}


def _number(value: Any) -> Any:
    """``value``, with NaN as None: databases disagree about NaN, and agree about null."""
    return None if value != value else value


def _storable(text: str | None) -> str | None:
    """``text`` without what a database cannot keep: zero bytes and lone surrogates."""
    if text is None:
        return None
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
