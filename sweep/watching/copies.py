"""Copies of what a step may move by a leak, to say afterwards how far it did.

Small parameters of one kind are copied and compared together.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from sweep.trial.probe import Change, changes_along
from sweep.watching.alike import LikeTensors, layout_of, sorted_out
from sweep.watching.cases import Case
from sweep.watching.guard import Guard
from sweep.watching.movement import Movement, movement
from sweep.watching.parts import parts


class Copies:
    """The copies of one optimizer's step."""

    def __init__(self) -> None:
        self._alone: dict[int, tuple[Tensor, ...]] = {}
        self._stacked: dict[int, tuple[_Stack, int]] = {}

    @property
    def held_bytes(self) -> int:
        """The size of the copies that are held now."""
        stacked = sum(stack.before[index].nbytes for stack, index in self._stacked.values())
        return stacked + sum(part.nbytes for copy in self._alone.values() for part in copy)

    def make(self, of: Iterable[Case], guard: Guard, *, by_row: bool) -> None:
        """Copies the parameters as they are now, and lets go of other copies."""
        held, self._alone = self._alone, {}
        stacks, self._stacked = {stack for stack, _ in self._stacked.values()}, {}
        room = {stack.alike.keys.tobytes(): stack.before for stack in stacks}
        whole = []
        for case in of:
            parameter = case.parameter
            if by_row or case.where is not None:
                guard.one(parameter, partial(self._copy, parameter, held))
            else:
                whole.append(parameter)
        kinds, others = sorted_out(whole)
        for parameter in others:
            guard.one(parameter, partial(self._copy, parameter, held))
        for alike in kinds:
            stack = _Stack(alike, room.get(alike.keys.tobytes()))
            self._stacked |= {key: (stack, i) for i, key in enumerate(alike.keys.tolist())}

    def keep_only(self, moved: frozenset[int]) -> None:
        """Lets go of the copies of other parameters than those, which may serve again."""
        self._alone = {key: copy for key, copy in self._alone.items() if key in moved}
        self._stacked = {key: place for key, place in self._stacked.items() if key in moved}

    def let_go(self) -> None:
        """Lets go of every copy."""
        self._alone, self._stacked = {}, {}

    def movement(self, case: Case, *, by_row: bool) -> Movement | None:
        """How far it has moved since it was copied; None where that cannot be said."""
        key = id(case.parameter)
        if key in self._stacked:
            stack, index = self._stacked[key]
            changes = stack.changes()
            if changes is not None:
                return Movement(changes[index])
            return movement((stack.before[index],), parts(case.parameter), None, by_row=False)
        copy = self._alone.get(key)
        if copy is None:
            return None
        return movement(copy, parts(case.parameter), case.where, by_row=by_row)

    def _copy(self, parameter: Tensor, held: dict[int, tuple[Tensor, ...]]) -> None:
        """Copies the parameter's parts, into a copy that is ``held`` where one fits."""
        now, copies = parts(parameter), held.get(id(parameter), ())
        if [(c.shape, c.dtype) for c in copies] != [(p.shape, p.dtype) for p in now]:
            self._alone[id(parameter)] = tuple(part.clone() for part in now)
            return
        for copy, part in zip(copies, now, strict=True):
            copy.copy_(part)
        self._alone[id(parameter)] = copies


class _Stack:
    """A copy of small tensors that are alike; ``before[i]`` is one of them."""

    def __init__(self, alike: LikeTensors, room: Tensor | None) -> None:
        """Copies them into ``room`` if that fits."""
        self.alike = alike
        fits = room is not None and layout_of(room[0]) == alike.layout
        self.before = torch.stack(alike.tensors, out=room if fits else None)
        self._changes: list[Change] | None = None

    def changes(self) -> list[Change] | None:
        """How far each has moved; None if they are not alike any more."""
        if self._changes is None and (after := self.alike.stacked()) is not None:
            self._changes = changes_along(self.before, after)
        return self._changes
