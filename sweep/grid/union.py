"""The grid: every trial that a spec comes to, in one order, each once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any

from sweep.errors import SpecError
from sweep.grid.box import Box, TooTangledError, Union, unions
from sweep.grid.plan import Omission, make_plan
from sweep.grid.recorded_spec import lacking, no_grid, read
from sweep.grid.spec import Spec
from sweep.optimizers import registry
from sweep.values.setting import POINT_AXES, PlannedTrial, canonical_json, fingerprints
from sweep.values.words import Axis

MAX_TRIALS = 10_000_000


class Grid:
    """The trials of a spec.

        spec ──► plan ──► boxes ──► settings ──► planned trials
               per grid   one product     lazily, without     with the spec's
               and        an optimizer,   those an earlier    workload, steps
               optimizer  null where an   box contains        and options
                          axis does not
                          apply

    Sizes and differences are arithmetic on the boxes; only iterating enumerates. Iterating
    takes constant memory and the order is stable, so that grids and optimizers come as the
    spec lists them and the seed varies fastest.

    Attributes:
        spec: what it was made of.
        plan: its boxes, and what was left out; ``plan.stated`` is ``size + repeated``, what
            collapsed, and the settings of the omissions.
    """

    def __init__(self, spec: Spec) -> None:
        """Plans the grid without enumerating it; imports the packages of its optimizers.

        Raises SpecError for a spec of more than `MAX_TRIALS` settings, or of none.
        """
        self.spec = spec
        self.plan = make_plan(spec)
        self._options = {
            box.optimizer: canonical_json(_options(spec, box.optimizer)) for box in self.plan.boxes
        }
        if self.size == 0:
            raise _nothing_left(spec, self.plan.omissions)
        if self.size > MAX_TRIALS:
            raise _too_large(spec, self.size)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[PlannedTrial]:
        """Every trial once, in the stable order."""
        for box in self._pieces():
            decided = self._decided(box.optimizer)
            known = fingerprints(box.optimizer, box.values, *decided)
            for setting, fingerprint in zip(box, known, strict=True):
                yield PlannedTrial(setting, *decided, fingerprint)

    def fingerprints(self) -> Iterator[str]:
        """The fingerprint of every trial, in the same order, in half the time."""
        for box in self._pieces():
            yield from fingerprints(box.optimizer, box.values, *self._decided(box.optimizer))

    @cached_property
    def size(self) -> int:
        """How many trials there are, exactly. Raises SpecError where boxes are too tangled."""
        try:
            return sum(union.size() for union in self._unions.values())
        except TooTangledError:
            raise SpecError(
                "The grids overlap in too many ways to be counted. Write fewer and larger ones.",
                where=self.spec.source,
                key="grid",
            ) from None

    @property
    def repeated(self) -> int:
        """Settings that an earlier grid of the spec has too."""
        return sum(box.size for box in self.plan.boxes) - self.size

    def counts(self) -> Mapping[Axis, Mapping[Any, int]]:
        """How many trials have each value of each axis; null is None."""
        counts: dict[Axis, Counter[Any]] = {axis: Counter() for axis in Axis}
        for optimizer, union in self._unions.items():
            counts[Axis.OPTIMIZER][optimizer] = union.size()
            for axis, found in zip(POINT_AXES, union.counts(), strict=True):
                counts[axis].update(found)
        return counts

    def __contains__(self, planned: object) -> bool:
        """Whether ``planned`` is one of the trials."""
        return (
            isinstance(planned, PlannedTrial)
            and planned == PlannedTrial(planned.setting, *self._decided(planned.setting.optimizer))
            and any(planned.setting in box for box in self.plan.boxes)
        )

    def canonical(self) -> str:
        """The spec with everything resolved, as canonical JSON: what the database records.

        It has the keys of a spec, with one grid an optimizer, and only axes that apply.
        """
        return canonical_json(
            {
                "name": self.spec.name,
                "workload": self.spec.workload,
                "steps": self.spec.steps,
                "trace": self.spec.trace,
                "options": {n: json.loads(o) for n, o in self._options.items() if o != "{}"},
                "grid": [_written(box) for box in self.plan.boxes],
            }
        )

    def difference(self, recorded: str) -> str | None:
        """What the grid of ``recorded``, a `canonical` text, has that this one lacks.

        None if this grid contains it all, so that it extends it; otherwise a phrase that
        names the first difference. Imports nothing that ``recorded`` names. Raises SpecError
        for a text that is not `canonical`'s.
        """
        return no_grid(recorded) or lacking(read(self.canonical()), read(recorded))

    def is_part_of(self, recorded: str) -> bool:
        """Whether the grid of ``recorded``, a `canonical` text, contains this one."""
        return no_grid(recorded) is None and not lacking(read(recorded), read(self.canonical()))

    def _pieces(self) -> Iterator[Box]:
        """Disjoint boxes, in the stable order: each without what earlier ones have."""
        seen: Counter[str] = Counter()
        for box in self.plan.boxes:
            yield from self._unions[box.optimizer].pieces_of(seen[box.optimizer])
            seen[box.optimizer] += 1

    @cached_property
    def _unions(self) -> Mapping[str, Union]:
        """The boxes of each optimizer."""
        return unions(self.plan.boxes)

    def _decided(self, optimizer: str) -> tuple[str, int, str]:
        """What all trials of the optimizer share: workload, steps and options."""
        return self.spec.workload, self.spec.steps, self._options.get(optimizer, "{}")


def _options(spec: Spec, optimizer: str) -> dict[str, Any]:
    """The row's own options with the spec's on top."""
    return {**registry.lookup(optimizer).options, **spec.options.get(optimizer, {})}


def _written(box: Box) -> dict[str, list[Any]]:
    axes = {str(a): list(v) for a, v in zip(POINT_AXES, box.values, strict=True) if v != (None,)}
    return {"optimizer": [box.optimizer], **axes}


def _nothing_left(spec: Spec, omissions: tuple[Omission, ...]) -> SpecError:
    reasons = [f"{omission.optimizer}: {omission.reason}" for omission in islice(omissions, 3)]
    return SpecError(
        f"No setting is left to run: {'; '.join(reasons)}. "
        f"`leaksweep show optimizers` says what each can do.",
        where=spec.source,
        key="grid",
    )


def _too_large(spec: Spec, size: int) -> SpecError:
    lengths = {
        f"{axis} of grid[{index}]": len(grid.values(axis) or ())
        for index, grid in enumerate(spec.grid)
        for axis in Axis
    }
    longest = sorted(lengths, key=lengths.__getitem__, reverse=True)[:2]
    return SpecError(
        f"The grid has {size:,} settings, and a sweep at most {MAX_TRIALS:,}. The longest axes "
        f"are {' and '.join(f'{axis} ({lengths[axis]:,} values)' for axis in longest)}.",
        where=spec.source,
        key="grid",
    )
