"""What is remembered of parameters between looks at them: numbers, not copies.

A small parameter is checked whole each time, together with others like it. A large one is
sampled, and checked whole where its sample or its version counter says that it was written to,
or where the caller does not trust that counter: many optimizers write past it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sweep.watching.alike import Layout, LikeTensors, layout_of, sorted_out
from sweep.watching.digests import checksums, row_checksums, sample_checksums
from sweep.watching.parts import parts, version

BYTES = 16
"""What a mark holds of a parameter: two checksums, or one and a version counter."""


@dataclass(slots=True)
class Mark:
    """A parameter as it was when last looked at.

    Attributes:
        layout: the shape, type and device of each part.
        version: how often each part had been written to.
        sample: the checksum of a few hundred elements; of all of a small one.
        whole: the checksum of all of it; None while it is not known.
    """

    layout: Layout
    version: tuple[int, ...]
    sample: int
    whole: int | None = None


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


@dataclass(slots=True)
class _Together:
    """The marks of tensors that are alike, in their order: checksums and version counters."""

    alike: LikeTensors
    sums: np.ndarray
    versions: np.ndarray

    def update(self, sums: np.ndarray, *, anew: bool) -> Moves:
        """As `Marks.update`; ``sums`` are those of now."""
        versions = self.alike.versions()
        differ = sums != self.sums
        unseen = differ & (versions == self.versions)
        if anew:
            self.sums, self.versions = sums, versions
        moved, missed = (frozenset(self.alike.keys[each].tolist()) for each in (differ, unseen))
        return Moves(moved, missed)

    def apart(self) -> Iterator[tuple[int, Mark]]:
        """The marks one by one, by identity."""
        keys, sums, versions = self.alike.keys.tolist(), self.sums.tolist(), self.versions.tolist()
        for key, sum_, times in zip(keys, sums, versions, strict=True):
            yield key, Mark(self.alike.layout, (times,), sum_, sum_)


class Marks:
    """The marks of some parameters, by the identity of the tensor.

    Those of tensors that are looked at in the same list again and again are kept together.
    """

    def __init__(self) -> None:
        self._of: dict[int, Mark] = {}
        self._plans: dict[tuple[int, ...], tuple[list[_Together], list[Tensor]]] = {}

    @property
    def held_bytes(self) -> int:
        """The size of what is held."""
        together = sum(len(each.sums) for kinds, _ in self._plans.values() for each in kinds)
        return BYTES * (len(self._of) + together)

    def forget(self, tensors: Iterable[int]) -> None:
        """Lets go of the marks of those tensors."""
        gone = set(tensors)
        self._take_apart(gone)
        self._of = {key: mark for key, mark in self._of.items() if key not in gone}

    def forget_all(self) -> None:
        """Lets go of every mark."""
        self._of.clear()
        self._plans.clear()

    def update(self, tensors: Sequence[Tensor], *, trusted: bool, anew: bool = True) -> Moves:
        """Says which of the tensors moved since they were marked, and marks them ``anew``.

        One that has no mark yet has not moved. With ``trusted``, a large one whose sample and
        version counter are as they were is taken to have kept still.
        """
        with torch.no_grad():
            keys = tuple(map(id, tensors))
            kinds, others = self._plans.get(keys, ([], tensors))
            sums = _sums([each.alike for each in kinds])
            if not kinds or sums is None:
                self._take_apart(set(keys))
                moves = self._one_by_one(tensors, trusted=trusted, anew=anew)
                if anew:
                    self._put_together(keys, tensors)
                return moves
            moves = self._one_by_one(others, trusted=trusted, anew=anew)
            for kind, now in zip(kinds, sums, strict=True):
                moves = moves.joined(kind.update(now, anew=anew))
            return moves

    def _put_together(self, keys: tuple[int, ...], tensors: Sequence[Tensor]) -> None:
        kinds, others = sorted_out(dict(zip(keys, tensors, strict=True)).values())
        together = []
        for alike in kinds:
            marks = [self._of.pop(key) for key in alike.keys.tolist()]
            sums = np.array([mark.whole for mark in marks], np.int64)
            together.append(_Together(alike, sums, alike.versions()))
        if together:
            self._plans[keys] = together, others

    def _take_apart(self, tensors: set[int]) -> None:
        """Keeps one by one what was kept together with some of those tensors."""
        for keys in [keys for keys in self._plans if not tensors.isdisjoint(keys)]:
            for each in self._plans.pop(keys)[0]:
                self._of |= each.apart()

    def _one_by_one(self, tensors: Sequence[Tensor], *, trusted: bool, anew: bool) -> Moves:
        held = {id(tensor): parts(tensor) for tensor in tensors}
        samples = _joined(sample_checksums, held)
        now = {
            id(tensor): Mark(layout_of(*held[id(tensor)]), version(tensor), samples[id(tensor)])
            for tensor in tensors
        }
        wanted = [key for key, mark in now.items() if self._needs_whole(key, mark, trusted)]
        wholes = _joined(checksums, {key: held[key] for key in wanted})
        moved, unseen, remade = set(), set(), set()
        for key, new in now.items():
            old = self._of.get(key)
            new.whole = wholes.get(key, None if old is None else old.whole)
            if anew or old is None:
                self._of[key] = new
            if old is None:
                continue
            if old.layout != new.layout:
                remade.add(key)
            elif (old.whole, old.sample) != (new.whole, new.sample):
                moved.add(key)
                if old.version == new.version:
                    unseen.add(key)
        return Moves(frozenset(moved), frozenset(unseen), frozenset(remade))

    def _needs_whole(self, key: int, now: Mark, trusted: bool) -> bool:
        old = self._of.get(key)
        if old is None or not trusted or -1 in now.version:
            return True
        return (old.layout, old.version, old.sample) != (now.layout, now.version, now.sample)


def _joined(
    sums: Callable[[Sequence[Tensor]], list[int]], held: Mapping[int, tuple[Tensor, ...]]
) -> dict[int, int]:
    """A number for each key, of the ``sums`` of its parts."""
    found = iter(sums([part for each in held.values() for part in each]))
    own = {key: [next(found) for _ in each] for key, each in held.items()}
    return {key: each[0] if len(each) == 1 else hash(tuple(each)) for key, each in own.items()}


def _sums(kinds: Sequence[LikeTensors]) -> list[np.ndarray] | None:
    """The checksums of each kind; None if some are not alike any more.

    Waits once for each accelerator.
    """
    stacks = [kind.stacked() for kind in kinds]
    found = [row_checksums(each.reshape(len(each), -1)) for each in stacks if each is not None]
    if len(found) < len(kinds):
        return None
    by_device: dict[torch.device, list[Tensor]] = {}
    for each in found:
        by_device.setdefault(each.device, []).append(each)
    host = {
        device: iter(torch.split(torch.cat(sums).cpu(), [len(each) for each in sums]))
        for device, sums in by_device.items()
    }
    return [next(host[each.device]).numpy() for each in found]
