"""A spec as a checked value: the axes of each grid, and what the trials share.

Names are resolved here: patterns over optimizers are expanded, equal schedules and equal
numbers share one value, and duplicates collapse. Importing this module does not import
torch; checking a spec does so only where it has options or a ``package.module:Class``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StrictBool,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sweep.errors import MisuseError, UnknownNameError
from sweep.grid.complaint import complaint, shown
from sweep.optimizers import registry
from sweep.values import schedule as schedules
from sweep.values.axes import AxisFacts
from sweep.values.setting import AXIS_FACTS, MAX_TEXT, POINT_AXES
from sweep.values.words import Axis
from sweep.workloads import sizes as workload_sizes

MAX_STEPS = 1_000_000
MAX_GRIDS = 1000  # a recorded spec has one an optimizer
MAX_SEED = 2**63 - 1  # the largest that a database's integer column holds
MAX_NESTING = 4

_ADDRESS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_T = TypeVar("_T")


def problem(message: str, key: str = "") -> PydanticCustomError:
    """An error of the value being checked, or of the part of it that ``key`` names."""
    return PydanticCustomError("spec", "{message}", {"message": message, "key": key})


def _positive_zero(value: float) -> float:
    return value + 0.0  # -0.0 + 0.0 is 0.0


def _schedule(text: str) -> str:
    try:
        return str(schedules.parse(text))
    except UnknownNameError as error:
        raise problem(str(error)) from error


def _optimizer(name: str) -> str:
    """The registry's own spelling of ``name``, or a pattern that something matches."""
    meant = _meant(name)
    if not meant:
        raise problem(
            f"No optimizer matches the pattern {name!r}. `leaksweep show optimizers` lists all."
        )
    if meant != [name]:
        return name
    if ":" in name and not _ADDRESS.fullmatch(name):
        raise problem(f"{name!r} is not of the form package.module:Class.")
    try:
        registry.lookup(name)
    except MisuseError as error:
        raise problem(str(error)) from error
    return registry.spelt(name)


def _expanded(names: Iterable[str]) -> tuple[str, ...]:
    return _unique(found for name in names for found in _meant(name))


def _meant(name: str) -> list[str]:
    """The registry's names that a pattern matches, whatever their case; of no pattern, itself."""
    if not any(sign in name for sign in "*?["):
        return [name]
    return [known for known in registry.names() if fnmatchcase(known.lower(), name.lower())]


def _unique(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))


def _listed(value: Any) -> Any:
    """``value``, as a list of one where it is a single value."""
    return value if isinstance(value, list | tuple | dict) else [value]


def _workload(name: str) -> str:
    if name in workload_sizes.BUILT_IN or _ADDRESS.fullmatch(name):
        return name
    hint = "Your own is `package.module:function`."
    raise problem(str(UnknownNameError("workload", name, workload_sizes.BUILT_IN, hint=hint)))


def _printable(text: str) -> str:
    if not text.isprintable():
        raise problem(f"{shown(text)} has characters that do not print.")
    return text


_Text = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_TEXT)]
_Number = Annotated[
    float, Field(strict=True, ge=0, allow_inf_nan=False), AfterValidator(_positive_zero)
]
_Seed = Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)]
_Optimizer = Annotated[_Text, AfterValidator(_optimizer)]
_Schedule = Annotated[_Text, AfterValidator(_schedule)]
_Values = Annotated[
    tuple[_T, ...], BeforeValidator(_listed), Field(min_length=1), AfterValidator(_unique)
]


class GridSpec(BaseModel):
    """The axes of one grid, each a tuple of distinct values; their product is the grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimizer: Annotated[_Values[_Optimizer], AfterValidator(_expanded)]

    def values(self, axis: Axis) -> tuple[Any, ...] | None:
        """The values of ``axis``; None where the optimizer's own default is meant."""
        found: tuple[Any, ...] | None = getattr(self, axis)
        return found

    @model_validator(mode="after")
    def _momentum_is_in_bounds(self) -> GridSpec:
        largest = max(self.values(Axis.MOMENTUM) or (0.0,))
        for name in self.optimizer:
            bound = registry.lookup(name).momentum_below
            if bound is not None and largest >= bound:
                address = registry.lookup(name).momentum
                raise problem(
                    f"{name} takes a momentum ({address}) below {bound:g}, not {largest:g}. "
                    f"Give a smaller one, or give {name} a [[grid]] of its own.",
                    "momentum",
                )
        return self


_CHECKED = {Axis.SCHEDULE: _Schedule, Axis.SEED: _Seed}
"""The types of axes that are more than texts, words or numbers >= 0."""


def _field(facts: AxisFacts) -> Any:
    """The type and default of an axis in a grid."""
    kind: Any = _CHECKED.get(facts.axis) or (_Number if facts.kind is float else facts.kind)
    return _Values[kind] if facts.default is not None else _Values[kind] | None, facts.default


_Grid = create_model(
    "_Grid",
    __base__=GridSpec,
    **{facts.axis.value: _field(facts) for facts in AXIS_FACTS if facts.axis in POINT_AXES},
)


class Spec(BaseModel):
    """A sweep as asked for: the union of its grids, and what all their trials share.

    Attributes:
        name: the sweep's name in the database.
        workload: ``article``, ``small`` or ``package.module:function``.
        stated_steps: the key ``steps``; None where the workload's own number is meant.
        trace: record a row per step.
        grid: the grids, in the order of the file.
        options: constructor arguments beyond the axes, by optimizer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_alias=True)

    name: Annotated[_Text, AfterValidator(_printable)]
    description: Annotated[str, Field(strict=True)] = ""
    workload: Annotated[_Text, AfterValidator(_workload)] = "article"
    stated_steps: Annotated[int, Field(strict=True, ge=1, le=MAX_STEPS)] | None = Field(
        default=None, alias="steps"
    )
    trace: StrictBool = False
    grid: Annotated[
        tuple[_Grid, ...],
        Field(min_length=1, max_length=MAX_GRIDS),
    ]
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    _source: str = PrivateAttr(default="spec")

    @classmethod
    def checked(cls, raw: Mapping[str, Any], source: str) -> Spec:
        """The spec that ``raw`` describes, with TOML's keys; ``source`` is what messages name.

        Raises SpecError.
        """
        try:
            spec = cls.model_validate(raw)
        except ValidationError as error:
            raise complaint(error, source) from error
        spec._source = source
        return spec

    @property
    def source(self) -> str:
        """The file, preset or option that it came from, as messages name it."""
        return self._source

    @property
    def steps(self) -> int:
        """Training steps of each trial."""
        if self.stated_steps is not None:
            return self.stated_steps
        return workload_sizes.default_steps(self.workload)

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Every optimizer in any of the grids, in order."""
        return _unique(name for grid in self.grid for name in grid.optimizer)

    @field_validator("options")
    @classmethod
    def _options_are_plain(cls, options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, arguments in options.items():
            for argument, value in arguments.items():
                if not _is_plain(value):
                    raise problem(
                        f"{shown(value)} cannot be recorded. Options are texts, booleans, "
                        f"finite numbers, and lists or tables of these.",
                        f"{name}.{argument}",
                    )
        named = {registry.spelt(name): arguments for name, arguments in options.items()}
        if len(named) < len(options):
            raise problem("An optimizer is named twice, in different cases; name it once.")
        return named

    @model_validator(mode="after")
    def _schedules_freeze_something(self) -> Spec:
        for index, grid in enumerate(self.grid):
            for text in grid.values(Axis.SCHEDULE) or ():
                if text != "never" and not schedules.parse(text).frozen_steps(self.steps):
                    raise problem(
                        f"{text!r} freezes nothing when steps = {self.steps}. Freeze sooner, give "
                        f"more steps, or say `never` for the control.",
                        f"grid[{index}].schedule",
                    )
        return self

    @model_validator(mode="after")
    def _options_fit_their_optimizers(self) -> Spec:
        for name, arguments in self.options.items():
            if name not in self.optimizers:
                raise problem(_no_such_optimizer(name, self.optimizers), f"options.{name}")
            entry = registry.lookup(name)
            if registry.unavailable(entry) is None:
                _check_arguments(name, arguments)
        return self


def _check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    for argument, value in arguments.items():
        try:
            registry.check_options(registry.lookup(name), {argument: value})
        except MisuseError as error:
            raise problem(str(error), f"options.{name}.{argument}") from error


def _no_such_optimizer(name: str, optimizers: tuple[str, ...]) -> str:
    dotted = next((known for known in optimizers if known.startswith(f"{name}.")), None)
    if dotted is not None:
        return f'A name with a dot is quoted: [options."{dotted}"].'
    return str(UnknownNameError("optimizer", name, optimizers, hint="No grid has it."))


def _is_plain(value: object, nesting: int = 0) -> bool:
    """Whether ``value`` survives JSON unchanged."""
    if nesting > MAX_NESTING:
        return False
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v, nesting + 1) for k, v in value.items())
    if isinstance(value, list):
        return all(_is_plain(item, nesting + 1) for item in value)
    if isinstance(value, float):
        return abs(value) < float("inf")  # false for NaN too
    return isinstance(value, str | bool | int)
