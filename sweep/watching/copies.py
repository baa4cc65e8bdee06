"""Copies of what a step may move by a leak, and how far it did.

Small parameters of one kind are copied and compared together; of others the rows or elements
that were to keep still, where those are judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from sweep.trial import probe
from sweep.watching.cases import Case
from sweep.watching.digests import LikeTensors, layout_of, sorted_out, weighted, words
from sweep.watching.findings import RowSet
from sweep.watching.guard import Guard
from sweep.watching.parts import parts

_AT_ONCE, _AT_ONCE_THERE = 1 << 17, 1 << 24
"""Elements that are compared at a time, by a processor and by an accelerator, which is waited for
each time: the differences of as many are kept in float64, for the processor in its cache."""

_TELLING = 8
"""Elements of a row that are compared first: what moves a row moves most of them as a rule."""


@dataclass(frozen=True, slots=True)
class Movement:
    """How far a parameter moved, None where that cannot be said.

    ``rows`` says which rows, where those are judged or only a part was in question.
    """

    change: probe.Change | None = None
    rows: RowSet | None = None


NOT_MEASURED = Movement()


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
        cases = list(of)
        kinds, others = sorted_out(c.parameter for c in cases if c.where is None and not by_row)
        others += [case.parameter for case in cases if case.where is not None or by_row]
        for parameter in others:
            guard.one(parameter, partial(self._copy, parameter, held))
        for alike in kinds:
            stack = _Stack(alike, room.get(alike.keys.tobytes()))
            self._stacked |= {key: (stack, i) for i, key in enumerate(alike.keys.tolist())}

    def keep_only(self, moved: frozenset[int]) -> None:
        """Lets go of the copies of other parameters than those, which may serve again."""
        self._alone = {key: copy for key, copy in self._alone.items() if key in moved}
        self._stacked = {key: place for key, place in self._stacked.items() if key in moved}

    def movement(self, case: Case, *, by_row: bool) -> Movement:
        """How far it has moved since it was copied, and which rows of it with ``by_row``.

        It cannot be said where it was not copied, or made anew in another shape or type.
        """
        stack, index = self._stacked.get(id(case.parameter), (None, 0))
        if stack is not None and (changes := stack.changes()) is not None:
            return Movement(changes[index])
        before = self._alone.get(id(case.parameter)) if stack is None else (stack.before[index],)
        after = parts(case.parameter)
        if before is None or _kinds(before) != _kinds(after):
            return NOT_MEASURED
        if not by_row:
            return Movement(probe.together(map(_change, before, after)))
        if len(before) > 1 or before[0].dim() == 0:
            change = probe.together(map(_change, before, after))
            return Movement(change, RowSet(np.array([change.moved])))
        return _of_rows(before[0], after[0], case.where)

    def _copy(self, parameter: Tensor, held: dict[int, tuple[Tensor, ...]]) -> None:
        """Copies the parameter's parts, into a copy that is ``held`` where one fits."""
        now, copies = parts(parameter), held.get(id(parameter), ())
        if _kinds(copies) != _kinds(now):
            copies = tuple(map(torch.empty_like, now))
        self._alone[id(parameter)] = copies
        for copy, part in zip(copies, now, strict=True):
            copy.copy_(part)


class _Stack:
    """A copy of small tensors that are alike; ``before[i]`` is one of them."""

    def __init__(self, alike: LikeTensors, room: Tensor | None) -> None:
        """Copies them into ``room`` if that fits."""
        self.alike = alike
        fits = room is not None and layout_of(room[0]) == alike.layout
        self.before = torch.stack(alike.tensors, out=room if fits else None)
        self._changes: list[probe.Change] | None = None

    def changes(self) -> list[probe.Change] | None:
        """How far each has moved; None if they are not alike any more."""
        if self._changes is None and (after := self.alike.stacked()) is not None:
            self._changes = probe.changes_along(self.before, after)
        return self._changes


def _kinds(tensors: Sequence[Tensor]) -> list[tuple[torch.Size, torch.dtype]]:
    return [(tensor.shape, tensor.dtype) for tensor in tensors]


def _of_rows(before: Tensor, after: Tensor, where: Tensor | None) -> Movement:
    """The movement of rows, a few at a time; ``where``, of shape ``(rows,)`` or the tensors',
    says which or what of them are in question."""
    if not before.numel():
        return Movement(probe.STILL, RowSet(np.zeros(len(before), dtype=bool)))
    at_once = max(1, len(before) * _at_once(before) // before.numel())
    asked = repeat(None) if where is None else torch.split(where, at_once)
    pieces = zip(torch.split(before, at_once), torch.split(after, at_once), asked, strict=False)
    found = [_of_some_rows(*piece) for piece in pieces]
    rows = torch.cat([moved for _, moved in found]).cpu().numpy()
    return Movement(probe.together(change for change, _ in found), RowSet(rows))


def _of_some_rows(
    before: Tensor, after: Tensor, where: Tensor | None
) -> tuple[probe.Change, Tensor]:
    """The change of some rows, and which of them moved."""
    moved = _rows_that_differ(before, after)
    if where is not None and where.dim() == 1:
        moved, where = moved & where, None
    if not bool(moved.any()):
        return probe.STILL, moved
    all_moved = bool(moved.all())
    if where is None:
        rows = None if all_moved else moved.reshape(-1, *[1] * (before.dim() - 1))
        change = _difference(before, after, rows)
        if change is not None:
            return change, moved
    if where is not None or not all_moved:
        before, after = before[moved], after[moved]
    if where is not None:
        others = ~where[moved]
        before, after = before.masked_fill(others, 0), after.masked_fill(others, 0)
    change = _change(before, after)
    if where is not None or not math.isfinite(change.max_change):  # NaN may only seem to move
        differ = probe.moved_elements(before, after).reshape(len(before), -1)
        moved[moved.clone()] = differ.any(dim=1)
    return change, moved


def _rows_that_differ(before: Tensor, after: Tensor) -> Tensor:
    one, other = (probe.bits(each).reshape(len(each), -1) for each in (before, after))
    differ = (one[:, :_TELLING] != other[:, :_TELLING]).any(dim=1)
    if not differ.all():
        rest = ~differ
        differ[rest] = weighted(words(one[rest]) - words(other[rest])) != 0
    return differ


def _change(before: Tensor, after: Tensor) -> probe.Change:
    """As `sweep.trial.probe.change_between`, in pieces that stay in the processor's cache."""
    flat = (torch.split(each.reshape(-1), _at_once(before)) for each in (before, after))
    pieces = zip(*flat, strict=True)
    return probe.together(_difference(*piece) or probe.change_between(*piece) for piece in pieces)


def _at_once(tensor: Tensor) -> int:
    return _AT_ONCE if tensor.device.type == "cpu" else _AT_ONCE_THERE


def _difference(before: Tensor, after: Tensor, chosen: Tensor | None = None) -> probe.Change | None:
    """As `sweep.trial.probe.change_between`; None where that is to be asked itself.

    ``chosen``, which can be expanded to the tensors' shape, says which elements are meant.
    """
    if before.is_complex() or not before.numel():
        return None
    difference = after.double().sub_(before.double())
    if chosen is not None:
        difference.masked_fill_(~chosen, 0.0)
    least, most = torch.aminmax(difference)
    largest = max(-least.item(), most.item())
    if not math.isfinite(largest) or not largest:
        return None
    flat = difference.reshape(-1)
    return probe.Change(True, largest, math.sqrt(torch.dot(flat, flat).item()))
