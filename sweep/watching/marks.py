"""What is remembered of parameters between looks at them: numbers, not copies.

A small parameter is checked whole each time, together with others like it. A large one is
sampled, and checked whole where its sample or its version counter says that it was written to,
or where the caller does not trust that counter: many optimizers write past it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sweep.watching import digests
from sweep.watching.parts import parts, version

_MARK = np.dtype([("whole", np.int64), ("sample", np.int32), ("version", np.int16), ("kind", "u2")])
"""A parameter as it was when last looked at: the checksum of all of it, the lower bits of that of
a sample (0 for a small one) and of how often it had been written to, and which layout it had."""


@dataclass(frozen=True, slots=True)
class Moves:
    """Which of some parameters have moved since they were last marked, by identity.

    Attributes:
        moved: those whose bits differ.
        unseen: those of them whose version counter has not noticed.
        remade: those with another shape, type or device, whose bits cannot be compared.
    """

    moved: frozenset[int] = frozenset()
    unseen: frozenset[int] = frozenset()
    remade: frozenset[int] = frozenset()

    def joined(self, other: Moves) -> Moves:
        """Those of both."""
        return Moves(
            self.moved | other.moved, self.unseen | other.unseen, self.remade | other.remade
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a list of tensors is looked at: those that are alike, with their places, and others."""

    alike: list[tuple[digests.LikeTensors, np.ndarray]]
    others: list[Tensor]


class Marks:
    """The marks of some parameters, by the identity of the tensor."""

    def __init__(self) -> None:
        self.forget_all()

    def forget_all(self) -> None:
        """Lets go of every mark."""
        self._marks = np.zeros(0, _MARK)
        self._place_of: dict[int, int] = {}  # in the marks
        self._kinds: dict[digests.Layout | None, int] = {None: 0}  # 0 has what has no mark
        self._plans: dict[tuple[int, ...], _Plan] = {}

    @property
    def held_bytes(self) -> int:
        """The size of the marks."""
        return self._marks.nbytes

    def forget(self, tensors: Iterable[int]) -> None:
        """Lets go of the marks of those tensors."""
        gone = set(tensors)
        kept = {key: place for key, place in self._place_of.items() if key not in gone}
        self._marks = self._marks[list(kept.values())]
        self._place_of = dict(zip(kept, range(len(kept)), strict=True))
        self._plans.clear()

    def update(self, tensors: Sequence[Tensor], *, trusted: bool, anew: bool = True) -> Moves:
        """Says which of the tensors moved since they were marked, and marks them ``anew``.

        One that has no mark yet has not moved. With ``trusted``, a large one whose sample and
        version counter are as they were is taken to have kept still.
        """
        with torch.no_grad():
            keys = tuple(map(id, tensors))
            plan = self._plans.get(keys) or self._planned(keys, tensors)
            sums = _sums(plan)
            if sums is None:  # some are not alike any more
                plan = self._planned(keys, tensors)
                sums = _sums(plan) or []
            moves = self._update_others(plan.others, trusted=trusted, anew=anew)
            for (alike, places), whole in zip(plan.alike, sums, strict=True):
                now = np.zeros(len(places), _MARK)
                now["whole"], now["version"] = whole, alike.versions()
                now["kind"] = self._kind(alike.layout)
                moves = moves.joined(self._compared(alike.keys, places, now, anew=anew))
            return moves

    def _planned(self, keys: tuple[int, ...], tensors: Sequence[Tensor]) -> _Plan:
        """A plan for the list, in place of those for others that have some of its tensors."""
        self._plans = {k: plan for k, plan in self._plans.items() if set(k).isdisjoint(keys)}
        alike, others = digests.sorted_out(dict(zip(keys, tensors, strict=True)).values())
        plan = self._plans[keys] = _Plan(
            [(each, self._places(each.keys)) for each in alike], others
        )
        return plan

    def _places(self, keys: np.ndarray) -> np.ndarray:
        """Where the marks of those tensors are, or will be."""
        places = [self._place_of.setdefault(key, len(self._place_of)) for key in keys.tolist()]
        if len(self._place_of) > len(self._marks):
            room = np.zeros(len(self._place_of) - len(self._marks), _MARK)
            self._marks = np.concatenate([self._marks, room])
        return np.array(places, np.int64)

    def _kind(self, layout: digests.Layout) -> int:
        return self._kinds.setdefault(layout, len(self._kinds))

    def _compared(
        self, keys: np.ndarray, places: np.ndarray, now: np.ndarray, *, anew: bool
    ) -> Moves:
        """How the marks differ from ``now``, which they become where there is none, or ``anew``."""
        before = self._marks[places]
        known, same = before["kind"] != 0, before["kind"] == now["kind"]
        moved = same & (before["whole"] != now["whole"])
        unseen = moved & (before["version"] == now["version"])
        self._marks[places] = now if anew else np.where(known, before, now)
        return Moves(*(frozenset(keys[each].tolist()) for each in (moved, unseen, known & ~same)))

    def _update_others(self, tensors: Sequence[Tensor], *, trusted: bool, anew: bool) -> Moves:
        held, keys = [parts(each) for each in tensors], np.array(list(map(id, tensors)), np.int64)
        versions, places = [version(each) for each in tensors], self._places(keys)
        before, now = self._marks[places], np.zeros(len(places), _MARK)
        now["sample"] = np.array(_joined(digests.sample_checksums, held), np.int64).astype(np.int32)
        now["version"] = np.array(list(map(sum, versions)), np.int64).astype(np.int16)
        now["kind"] = [self._kind(digests.layout_of(*each)) for each in held]
        now["whole"] = before["whole"]
        still = np.array([trusted and -1 not in each for each in versions], bool)
        for name in ("sample", "version", "kind"):
            still &= before[name] == now[name]
        (wanted,) = np.nonzero(~still)
        now["whole"][wanted] = _joined(digests.checksums, [held[index] for index in wanted])
        return self._compared(keys, places, now, anew=anew)


def _joined(
    sums: Callable[[Sequence[Tensor]], list[int]], held: Sequence[tuple[Tensor, ...]]
) -> list[int]:
    """A number for each tensor, of the ``sums`` of its parts."""
    return [
        each[0] if len(each) == 1 else hash(tuple(each)) for each in digests.by_part(sums, held)
    ]


def _sums(plan: _Plan) -> list[np.ndarray] | None:
    """The checksums of each kind; None if some are not alike any more."""
    stacks = [alike.stacked() for alike, _ in plan.alike]
    found = [digests.row_checksums(stack) for stack in stacks if stack is not None]
    return [each.numpy() for each in digests.fetched(found)] if len(found) == len(stacks) else None
