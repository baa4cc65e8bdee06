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
from sweep.grid.box import AXES, Box
from sweep.grid.spec import GridSpec, Spec
from sweep.optimizers import registry
from sweep.optimizers.entry import FirstArgument, OptimizerEntry, split_address
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
    if freeze is Freeze.LR_ZERO and not _has_groups(entry):
        return "takes no parameter groups, which freeze = lr_zero needs"
    if freeze is Freeze.LR_ZERO and entry.lr is None:
        return "has no learning rate, which freeze = lr_zero needs"
    if freeze is Freeze.OWN_OPTIMIZER and entry.first_argument is FirstArgument.MODEL:
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
        reasons = _refusals(entry, grid, spec.workload)
        kept = tuple(freeze for freeze in grid.freeze if freeze not in reasons)
        as_written = math.prod(len(getattr(grid, axis) or (None,)) for axis in AXES)
        applying = math.prod(_lengths(entry, grid))
        stated += as_written
        collapsed += as_written - applying
        for reason in reasons.values():
            omitted[name, reason] += applying // len(grid.freeze)
        if kept:
            boxes.append(Box(name, tuple(_values(entry, grid, kept, spec.source))))
    omissions = tuple(Omission(name, reason, n) for (name, reason), n in omitted.items())
    return Plan(tuple(boxes), omissions, stated, collapsed)


def _refusals(entry: OptimizerEntry, grid: GridSpec, workload: str) -> dict[Freeze, str]:
    """Each way of freezing in ``grid`` that ``entry`` cannot have, with the reason."""
    missing = registry.unavailable(entry)
    found = {freeze: missing or refusal(entry, freeze, workload) for freeze in grid.freeze}
    return {freeze: reason for freeze, reason in found.items() if reason is not None}


def _lengths(entry: OptimizerEntry, grid: GridSpec) -> Iterator[int]:
    """How many different values each axis has for ``entry``."""
    for axis in AXES:
        applies = axis not in _NUMERIC or entry.address(axis) is not None
        yield len(getattr(grid, axis) or (None,)) if applies else 1


def _values(
    entry: OptimizerEntry, grid: GridSpec, freezes: tuple[Freeze, ...], source: str
) -> Iterator[tuple[Any, ...]]:
    """The values of each axis for ``entry``, the optimizer's own where none are stated."""
    for axis in AXES:
        if axis is Axis.FREEZE:
            yield freezes
        elif axis not in _NUMERIC:
            yield getattr(grid, axis)
        elif entry.address(axis) is None:
            yield (None,)
        else:
            yield getattr(grid, axis) or (_own_value(entry, axis, source),)


def _own_value(entry: OptimizerEntry, axis: Axis, source: str) -> float | None:
    """What the optimizer's own constructor gives ``axis``. Raises SpecError if it must be told."""
    own: float | None = getattr(registry.defaults(entry), axis)
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


def _has_groups(entry: OptimizerEntry) -> bool:
    return entry.param_groups and entry.first_argument is FirstArgument.PARAMS


_NUMERIC = frozenset({Axis.LR, Axis.WEIGHT_DECAY, Axis.MOMENTUM})
