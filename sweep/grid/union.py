"""The grid: every trial that a spec comes to, in one order, each once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any

from sweep.errors import SpecError
from sweep.grid.box import AXES, Box, disjoint, remainder
from sweep.grid.plan import Omission, make_plan
from sweep.grid.spec import Spec
from sweep.optimizers import registry
from sweep.values.setting import PlannedTrial, Setting, canonical_json, fingerprints
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

    """

    def __init__(self, spec: Spec) -> None:
        """Plans the grid without enumerating it; imports the packages of its optimizers.

        Raises SpecError for a spec of more than `MAX_TRIALS` settings, or of none.
        """
        self.spec = spec
        self._plan = make_plan(spec)
        self._options = {
            box.optimizer: canonical_json(_options(spec, box.optimizer)) for box in self._plan.boxes
        }
        if self.size == 0:
            raise _nothing_left(spec, self.omissions)
        if self.size > MAX_TRIALS:
            raise _too_large(spec, self.size)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[PlannedTrial]:
        """Every trial once, in the stable order."""
        earlier: dict[str, list[Box]] = {}
        for box in self._plan.boxes:
            before = earlier.setdefault(box.optimizer, [])
            decided = self.spec.workload, self.spec.steps, self._options[box.optimizer]
            known = fingerprints(box.optimizer, box.values, *decided)
            for setting, fingerprint in zip(box, known, strict=True):
                if not before or not any(setting in other for other in before):
                    yield PlannedTrial(setting, *decided, fingerprint)
            before.append(box)

    @cached_property
    def size(self) -> int:
        """How many trials there are, exactly."""
        return sum(piece.size for piece in self._pieces)

    @property
    def upper_bound(self) -> int:
        """How many combinations of values are written in the spec, whether they apply or not.

        It is ``size + collapsed + repeated`` and the settings of the `omissions`.
        """
        return self._plan.stated

    @property
    def omissions(self) -> tuple[Omission, ...]:
        """What cannot exist and is left out, by optimizer and reason."""
        return self._plan.omissions

    @property
    def collapsed(self) -> int:
        """Combinations that mean another one's trial because an axis does not apply."""
        return self._plan.collapsed

    @property
    def repeated(self) -> int:
        """Settings that an earlier grid of the spec has too."""
        return sum(box.size for box in self._plan.boxes) - self.size

    def counts(self) -> Mapping[Axis, Mapping[Any, int]]:
        """How many trials have each value of each axis; null is None."""
        counts: dict[Axis, Counter[Any]] = {axis: Counter() for axis in Axis}
        for piece in self._pieces:
            counts[Axis.OPTIMIZER][piece.optimizer] += piece.size
            for axis, values in zip(AXES, piece.values, strict=True):
                for value in values:
                    counts[axis][value] += piece.size // len(values)
        return counts

    def __contains__(self, planned: object) -> bool:
        """Whether ``planned`` is one of the trials."""
        return (
            isinstance(planned, PlannedTrial)
            and self._planned(planned.setting) == planned
            and any(planned.setting in box for box in self._plan.boxes)
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
                "grid": [_written(box) for box in self._plan.boxes],
            }
        )

    def difference(self, recorded: str) -> str | None:
        """What the grid of ``recorded``, a `canonical` text, has that this one lacks.

        None if this grid contains it all, so that it extends it; otherwise a phrase that
        names the first difference. Imports nothing that ``recorded`` names. Raises SpecError
        for a text that is not `canonical`'s.
        """
        kind = _kind(recorded)
        if kind is not None:
            return _NO_GRIDS.get(kind, f"it is no grid but a {kind}")
        workload, steps, options, boxes = _read(recorded)
        if workload != self.spec.workload:
            return f"its workload is {workload}, not {self.spec.workload}"
        if steps != self.spec.steps:
            return f"its trials have {steps} steps, not {self.spec.steps}"
        for box in boxes:
            theirs = canonical_json(options.get(box.optimizer, {}))
            ours = self._options.get(box.optimizer)
            if ours is not None and ours != theirs:
                return f"its options of {box.optimizer} are {theirs}, not {ours}"
            lacking = remainder(box, self._plan.boxes)
            if lacking:
                return f"it has a setting that this one lacks, {_described(next(iter(lacking[0])))}"
        return None

    def is_part_of(self, recorded: str) -> bool:
        """Whether the grid of ``recorded``, a `canonical` text, has every trial of this one."""
        if _kind(recorded) is not None:
            return False
        workload, steps, options, boxes = _read(recorded)
        return (workload, steps) == (self.spec.workload, self.spec.steps) and all(
            canonical_json(options.get(box.optimizer, {})) == self._options[box.optimizer]
            and not remainder(box, boxes)
            for box in self._plan.boxes
        )

    @cached_property
    def _pieces(self) -> list[Box]:
        return disjoint(self._plan.boxes)

    def _planned(self, setting: Setting) -> PlannedTrial:
        options = self._options.get(setting.optimizer, "{}")
        return PlannedTrial(setting, self.spec.workload, self.spec.steps, options)


def _options(spec: Spec, optimizer: str) -> dict[str, Any]:
    return registry.effective_options(registry.lookup(optimizer), spec.options.get(optimizer, {}))


def _written(box: Box) -> dict[str, list[Any]]:
    axes = {str(a): list(v) for a, v in zip(AXES, box.values, strict=True) if v != (None,)}
    return {"optimizer": [box.optimizer], **axes}


_NO_GRIDS = {
    "watch": "it is what `watch` saw of a training loop",
    "search": "it was searched, and has no grid; `leaksweep search` goes on with it",
}


def _kind(recorded: str) -> str | None:
    """What the spec says that its sweep is, if it is none of a grid; None for a grid."""
    try:
        kind = json.loads(recorded).get("kind")
    except (ValueError, AttributeError, RecursionError):
        return None
    return None if kind is None else str(kind)


def _read(recorded: str) -> tuple[str, int, dict[str, Any], list[Box]]:
    try:
        raw = json.loads(recorded)
        boxes = [
            Box(grid["optimizer"][0], tuple(tuple(grid.get(axis, (None,))) for axis in AXES))
            for grid in raw["grid"]
        ]
        return raw["workload"], raw["steps"], dict(raw["options"]), boxes
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        message = "The recorded spec is not one that this program writes."
        raise SpecError(message, where="the database") from error


def _described(setting: Setting) -> str:
    pairs = [(axis, getattr(setting, axis)) for axis in Axis]
    return " ".join(f"{axis}={value}" for axis, value in pairs if value is not None)


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
        f"{axis} of grid[{index}]": len(getattr(grid, axis) or ())
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
