"""From a spec to boxes: which axes apply to which optimizer, and what is left out and why.

Only what the registry's rows declare decides here; no optimizer is known by its name.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sweep.errors import SpecError
from sweep.grid.box import Box
from sweep.grid.spec import GridSpec, Spec
from sweep.optimizers import registry
from sweep.optimizers.entry import ARGUMENT_AXES, OptimizerEntry, split_address
from sweep.values.schedule import known_by
from sweep.values.setting import POINT_AXES
from sweep.values.words import Axis, Freeze
from sweep.workloads.sizes import BUILT_IN


@dataclass(frozen=True, slots=True)
class Omission:
    """Settings that a spec asks for and that cannot exist.

    Attributes:
        optimizer: the one they are for.
        reason: why they cannot exist, as a phrase.
        settings: how many there are.
    """

    optimizer: str
    reason: str
    settings: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a spec comes to.

    Attributes:
        boxes: its settings; boxes of different grids may overlap.
        omissions: the settings left out, by optimizer and reason.
        stated: combinations of values as written, whether they apply or not.
        collapsed: those that mean the same as another because an axis does not apply.
    """

    boxes: tuple[Box, ...]
    omissions: tuple[Omission, ...]
    stated: int
    collapsed: int


def refusal(entry: OptimizerEntry, freeze: Freeze, workload: str) -> str | None:
    """Why no trial of ``entry`` can freeze by ``freeze`` on ``workload``; None if one can."""
    if entry.sparse and workload in BUILT_IN:
        return f"takes sparse gradients only, and those of workload {workload} are dense"
    if freeze is Freeze.LR_ZERO and (entry.takes_model or not entry.param_groups):
        return "takes no parameter groups, which freeze = lr_zero needs"
    if freeze is Freeze.LR_ZERO and entry.lr is None:
        return "has no learning rate, which freeze = lr_zero needs"
    if freeze is Freeze.LR_ZERO and entry.rate_key is None:
        return "keeps no learning rate in its parameter groups, which freeze = lr_zero needs"
    if freeze is Freeze.OWN_OPTIMIZER and entry.takes_model:
        return "takes a whole model, and freeze = own_optimizer gives each layer its own"
    return None


def make_plan(spec: Spec) -> Plan:
    """The boxes of ``spec``, grid by grid and optimizer by optimizer, and what is left out.

    Imports torch and the package of each optimizer, to see whether it can be built. Raises
    SpecError where a grid leaves out a value that the optimizer has no default for.
    """
    boxes: list[Box] = []
    omitted: Counter[tuple[str, str]] = Counter()
    stated = collapsed = 0
    pairs = [(grid, name) for grid in spec.grid for name in grid.optimizer]
    for grid, name in pairs:
        entry = registry.lookup(name)
        values = dict(zip(POINT_AXES, _values(entry, grid, spec), strict=True))
        reasons = _refusals(entry, values[Axis.FREEZE], spec.workload)
        as_written = math.prod(len(grid.values(axis) or (None,)) for axis in POINT_AXES)
        applying = math.prod(map(len, values.values()))
        stated += as_written
        collapsed += as_written - applying
        for reason in reasons.values():
            omitted[name, reason] += applying // len(values[Axis.FREEZE])
        values[Axis.FREEZE] = tuple(each for each in values[Axis.FREEZE] if each not in reasons)
        if values[Axis.FREEZE]:
            boxes.append(Box(name, tuple(values.values())))
    omissions = tuple(Omission(name, reason, n) for (name, reason), n in omitted.items())
    return Plan(tuple(boxes), omissions, stated, collapsed)


def _refusals(
    entry: OptimizerEntry, freezes: tuple[Freeze, ...], workload: str
) -> dict[Freeze, str]:
    """Each of ``freezes`` that ``entry`` cannot have, with the reason."""
    missing = registry.unavailable(entry)
    found = {freeze: missing or refusal(entry, freeze, workload) for freeze in freezes}
    return {freeze: reason for freeze, reason in found.items() if reason is not None}


def _values(entry: OptimizerEntry, grid: GridSpec, spec: Spec) -> Iterator[tuple[Any, ...]]:
    """The different values of each axis for ``entry``, its own where none are stated."""
    for axis in POINT_AXES:
        stated = grid.values(axis)
        if axis is Axis.SCHEDULE:
            yield tuple(dict.fromkeys(known_by(text, spec.steps) for text in stated or ()))
        elif axis in ARGUMENT_AXES and entry.address(axis) is None:
            yield (None,)
        elif stated is not None:
            yield stated
        elif registry.unavailable(entry) is None:
            yield (_own_value(entry, axis, spec.source),)
        else:
            yield (None,)  # it is left out, and has one value whichever that would be


def _own_value(entry: OptimizerEntry, axis: Axis, source: str) -> float | None:
    """What the optimizer's own constructor gives ``axis``. Raises SpecError if it must be told."""
    own = registry.default(entry, axis)
    if own is not None:
        return own
    argument, _ = split_address(entry.address(axis) or "")
    parameter = registry.constructor(entry).parameters.get(argument)
    if parameter is not None and parameter.default is parameter.empty:
        raise SpecError(
            f"{entry.name} has no {axis} of its own, and its grid gives none. Say it there, "
            f"such as {axis} = [0.01].",
            where=source,
            key="grid",
        )
    return None
