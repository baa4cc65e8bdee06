"""What is remembered of parameters between looks at them: numbers, not copies.

A small parameter is checked whole each time. A large one is sampled, and checked whole where
its sample or its version counter says that it was written to, or where the caller does not
trust that counter: many optimizers write past it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sweep.watching.digests import SMALL, checksums, sample_checksums
from sweep.watching.parts import parts, version

BYTES = 16
"""What a mark holds of a parameter: a checksum and a sample's."""

Layout = tuple[tuple[torch.Size, torch.dtype, torch.device], ...]


@dataclass(slots=True)
class Mark:
    """A parameter as it was when last looked at.

    Attributes:
        layout: the shape, type and device of each part.
        version: how often each part had been written to.
        sample: the checksum of a few hundred elements; of all of a small one.
        whole: the checksum of all of it.
    """

    layout: Layout
    version: tuple[int, ...]
    sample: int
    whole: int


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


class Marks:
    """The marks of some parameters, by the identity of the tensor."""

    def __init__(self) -> None:
        self._of: dict[int, Mark] = {}

    @property
    def held_bytes(self) -> int:
        """The size of what is held."""
        return BYTES * len(self._of)

    def forget(self, tensors: Iterable[int]) -> None:
        """Lets go of the marks of those tensors."""
        for tensor in tensors:
            self._of.pop(tensor, None)

    def forget_all(self) -> None:
        """Lets go of every mark."""
        self._of.clear()

    def update(self, tensors: Sequence[Tensor], *, trusted: bool, anew: bool = True) -> Moves:
        """Says which of the tensors moved since they were marked, and marks them ``anew``.

        One that has no mark yet has not moved. With ``trusted``, a large one whose sample and
        version counter are as they were is taken to have kept still.
        """
        now = {id(tensor): _Now(tensor) for tensor in tensors}
        _fill_samples(now)
        wanted = [key for key, each in now.items() if self._needs_whole(key, each, trusted)]
        _fill_wholes({key: now[key] for key in wanted})
        moved, unseen, remade = set(), set(), set()
        for key, each in now.items():
            old = self._of.get(key)
            new = each.mark(old)
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

    def _needs_whole(self, key: int, now: _Now, trusted: bool) -> bool:
        if now.whole is not None:
            return False
        old = self._of.get(key)
        if old is None or not trusted or -1 in now.version:
            return True
        return (old.layout, old.version, old.sample) != (now.layout, now.version, now.sample)


class _Now:
    """A tensor while it is looked at."""

    __slots__ = ("layout", "parts", "sample", "version", "whole")

    def __init__(self, tensor: Tensor) -> None:
        self.parts = parts(tensor)
        self.layout = tuple((part.shape, part.dtype, part.device) for part in self.parts)
        self.version = version(tensor)
        self.sample = 0
        self.whole: int | None = None

    @property
    def is_small(self) -> bool:
        return all(part.numel() <= SMALL for part in self.parts)

    def mark(self, old: Mark | None) -> Mark:
        whole = old.whole if self.whole is None and old is not None else self.whole or 0
        return Mark(self.layout, self.version, self.sample, whole)


def _fill_samples(now: Mapping[int, _Now]) -> None:
    listed = list(now.values())
    sums = iter(sample_checksums([part for each in listed for part in each.parts]))
    for each in listed:
        each.sample = _joined([next(sums) for _ in each.parts])
        if each.is_small:
            each.whole = each.sample


def _fill_wholes(now: Mapping[int, _Now]) -> None:
    listed = list(now.values())
    sums = iter(checksums([part for each in listed for part in each.parts]))
    for each in listed:
        each.whole = _joined([next(sums) for _ in each.parts])


def _joined(sums: list[int]) -> int:
    return sums[0] if len(sums) == 1 else hash(tuple(sums))
