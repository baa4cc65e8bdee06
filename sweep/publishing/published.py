"""A trial of ours in a study: what its user attributes say, and the outcome they stand for.

The way there is `user_attributes`, the way back `outcome`. A study may come from anywhere, so
that everything is checked on the way back: types, bounds, what must go together, and the
fingerprint, which is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)

from sweep.errors import LeaksweepError, MisuseError
from sweep.grid.spec import MAX_SEED, MAX_STEPS, MAX_TEXT
from sweep.searching.study import MEASURED_COLUMNS, attributes
from sweep.values import schedule
from sweep.values.axes import AxisFacts
from sweep.values.outcome import CAUSE_FLAGS, Causes, Environment, Measurement, Outcome
from sweep.values.setting import AXIS_FACTS, PlannedTrial, Setting
from sweep.values.words import Axis, Verdict
from sweep.verifying.recorded_trial import OF_ENVIRONMENT

MARK = "leaksweep"
"""The user attribute of a study that says it is a published sweep, and how it was planned."""
FINGERPRINT = "fingerprint"
LONGEST = 100_000  # characters of an error or of options


def user_attributes(row: Mapping[str, Any], environment: Environment) -> dict[str, Any]:
    """The user attributes of the trial of ``row``: all of it that its parameters do not say."""
    finished_at: datetime = row["finished_at"]
    return attributes(row) | {
        "train_seconds": row["train_seconds"],
        "finished_at": finished_at.astimezone(UTC).isoformat(),
        **{name: getattr(environment, name) for name in OF_ENVIRONMENT},
        **({} if row["proposal"] is None else {"proposal": row["proposal"]}),
    }


def _schedule(text: str) -> str:
    try:
        return str(schedule.parse(text))
    except LeaksweepError as error:
        raise ValueError(str(error)) from error


_Word = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
_Text = Annotated[str, Field(max_length=LONGEST)]
_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, le=MAX_STEPS)]


_CHECKED: dict[Any, Any] = {
    str: _Word,
    float: _Number,
    int: Annotated[int, Field(ge=0, le=MAX_SEED)],
    Axis.SCHEDULE: Annotated[_Word, AfterValidator(_schedule)],
}


def _parameter(facts: AxisFacts) -> Any:
    kind = _CHECKED.get(facts.axis) or _CHECKED.get(facts.kind)
    if kind is None:  # the words of a closed set
        return facts.kind, Field(strict=False)
    return (kind | None, None) if facts.nullable else (kind, ...)


_Parameters = create_model(  # the axes of a trial: those that it lacks do not apply
    "_Parameters",
    __config__=ConfigDict(strict=True, extra="forbid"),
    **{facts.axis.value: _parameter(facts) for facts in AXIS_FACTS},
)


class _Attributes(BaseModel):
    """The user attributes; those that others added are left alone."""

    model_config = ConfigDict(strict=True)

    fingerprint: _Word
    workload: _Word
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    options: _Text
    optimizer_package: _Word | None
    verdict: Annotated[Verdict, Field(strict=False)]
    causes: list[str] | None
    cause_sets: _Word | None
    proposal: _Text | None = None
    unexplained: _Text | None
    sideways: bool | None
    frozen_steps: _Count | None
    leaked_steps: _Count | None
    first_leak_step: _Count | None
    max_drift: float | None
    total_drift: float | None
    attached_motion: float | None
    drift_ratio: float | None
    initial_loss: float | None
    final_loss: float | None
    diverged: bool | None
    score: float | None
    frozen_norm: float | None
    error: _Text | None
    train_seconds: _Number
    finished_at: Annotated[AwareDatetime, Field(strict=False)]
    torch: _Word
    python: _Word
    system: _Word | None
    machine: _Word | None
    cpu: _Word | None
    cpu_capability: _Word | None
    blas: _Word | None
    blas_mode: _Word | None
    device: _Word
    threads: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    leaksweep: _Word

    @model_validator(mode="after")
    def _goes_together(self) -> _Attributes:
        failed, leaks = self.verdict is Verdict.FAILED, self.verdict is Verdict.LEAKS
        if failed != (self.error is not None) or failed != (self.leaked_steps is None):
            raise ValueError("a trial has either failed, with an error, or measures")
        if not failed and (self.frozen_steps is None or self.diverged is None):
            raise ValueError("a trial that did not fail has frozen_steps and diverged")
        if leaks != bool(self.leaked_steps):
            raise ValueError("a trial leaks if, and only if, it has leaked_steps")
        if set(self.causes or ()) - set(CAUSE_FLAGS):
            raise ValueError(f"causes are {', '.join(CAUSE_FLAGS)}")
        return self


_PARAMETERS = TypeAdapter(_Parameters)
_ATTRIBUTES = TypeAdapter(_Attributes)


def outcome(number: int, parameters: Mapping[str, Any], said: Mapping[str, Any]) -> Outcome:
    """The outcome that a trial's ``parameters`` and user attributes stand for.

    ``number`` is what messages call the trial. Raises MisuseError for what this program would
    not have published, and for a fingerprint that is not that of the setting.
    """
    try:
        axes = _PARAMETERS.validate_python(dict(parameters))
        told = _ATTRIBUTES.validate_python(dict(said))
    except ValidationError as error:
        raise MisuseError(_complaint(number, error)) from error
    planned = PlannedTrial(Setting(**axes.model_dump()), told.workload, told.steps, told.options)
    if planned.fingerprint != told.fingerprint:
        raise MisuseError(
            f"Trial {number} has the fingerprint of another setting: its parameters were changed, "
            f"or another version of this program published it."
        )
    return _outcome(planned, told)


def _outcome(planned: PlannedTrial, told: _Attributes) -> Outcome:
    failed, leaks = told.verdict is Verdict.FAILED, told.verdict is Verdict.LEAKS
    measures = {name: getattr(told, name) for name in MEASURED_COLUMNS}
    causes = None
    if leaks and told.causes is not None:
        flags = {name: name in told.causes for name in CAUSE_FLAGS}
        causes = Causes(**flags, sets=told.cause_sets)
    return Outcome(
        planned=planned,
        environment=Environment(**{name: getattr(told, name) for name in OF_ENVIRONMENT}),
        optimizer_package=told.optimizer_package,
        verdict=told.verdict,
        measurement=None if failed else Measurement(**measures),
        causes=causes,
        unexplained=told.unexplained,
        sideways=told.sideways,
        train_seconds=told.train_seconds,
        error=told.error,
        finished_at=told.finished_at,
        proposal=told.proposal,
    )


def _complaint(number: int, error: ValidationError) -> str:
    """What is wrong first, in one line that no hostile text can fill."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))[:MAX_TEXT]
    place = f"Trial {number}, {where!r}" if where else f"Trial {number}"
    return f"{place}: {first['msg'][:MAX_TEXT]}. It was not published by this program as it stands."
