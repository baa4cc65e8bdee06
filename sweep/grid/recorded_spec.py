"""Recorded specs: read, compared and put together without planning them anew.

A recorded spec is what `Grid.canonical` wrote, perhaps by another version, perhaps by a
stranger: nothing that it names is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweep.errors import LeaksweepError, MisuseError, SpecError
from sweep.grid.box import Box, TooTangledError, Union, unions
from sweep.values.schedule import known_by
from sweep.values.setting import POINT_AXES, Setting, canonical_json
from sweep.values.words import Axis


@dataclass(frozen=True, slots=True)
class RecordedSpec:
    """What a recorded spec says; ``options`` are canonical JSON by optimizer."""

    workload: str
    steps: int
    options: Mapping[str, str]
    boxes: tuple[Box, ...]


_NO_GRIDS = {
    "watch": "it is what `watch` saw of a training loop",
    "search": "it was searched, and has no grid; `leaksweep search` goes on with it",
}


def no_grid(recorded: str) -> str | None:
    """What the sweep of the spec is, as a phrase, if it says that it is none of a grid."""
    try:
        kind = json.loads(recorded).get("kind")
    except (ValueError, AttributeError, RecursionError):
        return None
    return None if kind is None else _NO_GRIDS.get(str(kind), f"it is no grid but a {kind}")


def read(recorded: str) -> RecordedSpec:
    """What the text says. Raises SpecError for one that `Grid.canonical` does not write.

    Schedules are given the names that they are known by today.
    """
    try:
        raw = json.loads(recorded)
        boxes = tuple(
            Box(
                grid["optimizer"][0],
                tuple(_values(grid, axis, raw["steps"]) for axis in POINT_AXES),
            )
            for grid in raw["grid"]
        )
        options = {name: canonical_json(each) for name, each in dict(raw["options"]).items()}
        return RecordedSpec(raw["workload"], raw["steps"], options, boxes)
    except _BROKEN as error:
        message = "The recorded spec is not one that this program writes."
        raise SpecError(message, where="the database") from error


_BROKEN = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError),
    LeaksweepError,
)


def lacking(one: RecordedSpec, other: RecordedSpec) -> str | None:
    """What ``other`` has and ``one`` lacks: the first of it as a phrase; None for nothing."""
    if other.workload != one.workload:
        return f"its workload is {other.workload}, not {one.workload}"
    if other.steps != one.steps:
        return f"its trials have {other.steps} steps, not {one.steps}"
    known = unions(one.boxes)
    for box in other.boxes:
        theirs, ours = (spec.options.get(box.optimizer, "{}") for spec in (other, one))
        union = known.get(box.optimizer, Union(()))
        if union.boxes and ours != theirs:
            return f"its options of {box.optimizer} are {theirs}, not {ours}"
        left = next(union.lacks(box), None)
        if left is not None:
            return f"it has a setting that this one lacks, {_described(next(iter(left)))}"
    return None


def united(recorded: str, other: str) -> tuple[str, int]:
    """A spec with the grids of both, and how many trials it has. Raises MisuseError.

    The name and what else is not of the grid are those of ``recorded``.
    """
    reason = no_grid(recorded) or no_grid(other)
    if reason is not None:
        raise MisuseError(f"These sweeps cannot become one: {reason}. Rename one of them first.")
    one, two = read(recorded), read(other)
    named = {box.optimizer for box in one.boxes} & {box.optimizer for box in two.boxes}
    alike = all(one.options.get(name) == two.options.get(name) for name in named)
    if (one.workload, one.steps) != (two.workload, two.steps) or not alike:
        raise MisuseError(
            "These sweeps cannot become one: they differ in workload, steps or options. Rename "
            "one of them first."
        )
    ours, theirs = json.loads(recorded), json.loads(other)
    grids = [*ours["grid"], *(grid for grid in theirs["grid"] if grid not in ours["grid"])]
    spec = canonical_json(ours | {"grid": grids, "options": theirs["options"] | ours["options"]})
    try:
        size = sum(union.size() for union in unions(read(spec).boxes).values())
    except TooTangledError:
        raise MisuseError(
            "These sweeps cannot become one: their grids overlap in too many ways to be counted."
        ) from None
    return spec, size


def _values(grid: Mapping[str, Any], axis: Axis, steps: int) -> tuple[Any, ...]:
    values = tuple(grid.get(axis, (None,)))
    if axis is Axis.SCHEDULE:
        return tuple(dict.fromkeys(known_by(text, steps) for text in values))
    return tuple(dict.fromkeys(values))


def _described(setting: Setting) -> str:
    pairs = [(axis, getattr(setting, axis)) for axis in Axis]
    return " ".join(f"{axis}={value}" for axis, value in pairs if value is not None)
