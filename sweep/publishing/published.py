"""A trial of ours in a study: its parameters and user attributes, and the outcome they stand for.

    a row of ``trial`` ──► axis_parameters, user_attributes ──► a trial of a study ──► outcome_of

A null axis is no parameter of its trial. A study may come from anywhere, so that everything is
checked on the way back: types, bounds, what must go together, and the fingerprint, which is made
anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import UTC
from typing import Annotated, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)
from sqlalchemy import Column

from sweep.errors import LeaksweepError, MisuseError
from sweep.grid.spec import MAX_SEED, MAX_STEPS
from sweep.store.models import EnvironmentRow, TrialRow
from sweep.values import schedule
from sweep.values.axes import AxisFacts
from sweep.values.outcome import CAUSE_FLAGS, Causes, Environment, Measurement, Outcome
from sweep.values.setting import AXIS_FACTS, MAX_TEXT, PlannedTrial, Setting
from sweep.values.words import Axis, Verdict

MARK = "leaksweep"
"""The user attribute of a study that says it is a published sweep, and how it was planned."""
FINGERPRINT = "fingerprint"
LONGEST = 100_000  # characters of an error or of options
LOG_FROM = 10.0
"""Numbers whose largest is so many times their smallest are spaced by their logarithm."""

_NUMBERS = (Axis.LR, Axis.WEIGHT_DECAY, Axis.MOMENTUM)
_NOT_SAID = {"id", "sweep_id", "environment_id", "moved", "causes", *CAUSE_FLAGS, *Axis}
_SAID = [column for column in TrialRow.__table__.columns if column.name not in _NOT_SAID]
"""The columns of ``trial`` that are user attributes by their own names."""


def axis_distributions(rows: Iterable[Mapping[str, Any]]) -> dict[str, BaseDistribution]:
    """For each axis that any of ``rows`` has, the distribution that all their values are from.

    Words are categories, in the order in which they come; numbers span a range from their
    smallest to their largest, as logarithms where they are far apart.
    """
    rows = list(rows)
    found: dict[str, BaseDistribution] = {}
    for axis in Axis:
        distinct = list(dict.fromkeys(row[axis] for row in rows if row[axis] is not None))
        if not distinct:
            continue
        low, high = min(distinct), max(distinct)
        if axis in _NUMBERS:
            log = low > 0 and high >= LOG_FROM * low
            found[axis.value] = FloatDistribution(low, high, log=log)
        elif axis is Axis.SEED:
            found[axis.value] = IntDistribution(low, high)
        else:
            found[axis.value] = CategoricalDistribution(distinct)
    return found


def axis_parameters(row: Mapping[str, Any]) -> dict[str, Any]:
    """The axes of ``row`` that are not null, by name."""
    return {axis.value: row[axis] for axis in Axis if row[axis] is not None}


def user_attributes(row: Mapping[str, Any], environment: Environment) -> dict[str, Any]:
    """All that the trial of ``row`` is and its parameters do not say.

    Values are what JSON has, but that infinity stays infinity. ``causes`` is a list of names
    for a trial that leaks and whose causes were found, and null for any other; ``cause_sets``
    is the column ``causes``.
    """
    found = row["verdict"] == Verdict.LEAKS and row["unexplained"] is None
    said = {column.name: row[column.name] for column in _SAID} | asdict(environment)
    said |= {
        "trial": row["id"],
        "causes": [cause for cause in CAUSE_FLAGS if row[cause]] if found else None,
        "cause_sets": row["causes"],
        "finished_at": row["finished_at"].astimezone(UTC).isoformat(),
    }
    if said["proposal"] is None:
        del said["proposal"]
    return {name: None if value != value else value for name, value in said.items()}


def _schedule(text: str) -> str:
    try:
        return str(schedule.parse(text))
    except LeaksweepError as error:
        raise ValueError(str(error)) from error


_Word = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
_Text = Annotated[str, Field(max_length=LONGEST)]
_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, le=MAX_STEPS)]
_Positive = Annotated[int, Field(ge=1, le=MAX_STEPS)]


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


class _Consistent(BaseModel):
    """The user attributes that others must agree with; those that others added are left alone."""

    model_config = ConfigDict(strict=True)

    verdict: Annotated[Verdict, Field(strict=False)]
    causes: list[str] | None
    cause_sets: _Word | None
    proposal: _Text | None = None
    frozen_steps: _Count | None
    leaked_steps: _Count | None
    diverged: bool | None
    error: _Text | None

    @model_validator(mode="after")
    def _goes_together(self) -> _Consistent:
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


_BOUNDED: Mapping[str, Any] = {
    "steps": _Positive,
    "threads": _Positive,
    "options": _Text,
    "unexplained": _Text,
    "train_seconds": _Number,
    "finished_at": Annotated[AwareDatetime, Field(strict=False)],
}
_OF_TYPE: Mapping[type, Any] = {str: _Word, int: _Count, float: float, bool: bool}


def _attribute(column: Column[Any]) -> tuple[Any, Any]:
    """What the column's values are as a user attribute, as pydantic has fields."""
    kind = _BOUNDED.get(column.name) or _OF_TYPE[column.type.python_type]
    return (kind | None if column.nullable else kind), ...


_TOLD: dict[str, Any] = {
    column.name: _attribute(column)
    for column in (*_SAID, *EnvironmentRow.__table__.columns)
    if column.name not in {"id", *_Consistent.model_fields}
}
_Attributes = create_model("_Attributes", __base__=_Consistent, **_TOLD)


def outcome_of(number: int, parameters: Mapping[str, Any], said: Mapping[str, Any]) -> Outcome:
    """The outcome that a trial's ``parameters`` and user attributes stand for.

    ``number`` is what messages call the trial. Raises MisuseError for what this program would
    not have published, and for a fingerprint that is not that of the setting.
    """
    try:
        axes = _Parameters.model_validate(dict(parameters)).model_dump()
        told = _Attributes.model_validate(dict(said)).model_dump()
    except ValidationError as error:
        raise MisuseError(_complaint(number, error)) from error
    planned = PlannedTrial(Setting(**axes), told["workload"], told["steps"], told["options"])
    if planned.fingerprint != told["fingerprint"]:
        raise MisuseError(
            f"Trial {number} has the fingerprint of another setting: its parameters were changed, "
            f"or another version of this program published it."
        )
    flags = {name: name in (told["causes"] or ()) for name in CAUSE_FLAGS}
    leaks, explained = told["verdict"] is Verdict.LEAKS, told["causes"] is not None
    whole = {
        "planned": planned,
        "environment": Environment(**_of(Environment, told)),
        "measurement": None if told["error"] is not None else Measurement(**_of(Measurement, told)),
        "steps": (),  # those of a trace are not published
        "causes": Causes(**flags, sets=told["cause_sets"]) if leaks and explained else None,
    }
    return Outcome(**(_of(Outcome, told) | whole))


def _of(kind: type, told: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of the fields of a dataclass."""
    return {field.name: told[field.name] for field in fields(kind) if field.name in told}


def _complaint(number: int, error: ValidationError) -> str:
    """What is wrong first, in one line that no hostile text can fill."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))[:MAX_TEXT]
    place = f"Trial {number}, {where!r}" if where else f"Trial {number}"
    return f"{place}: {first['msg'][:MAX_TEXT]}. It was not published by this program as it stands."
