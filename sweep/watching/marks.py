"""What is remembered of parameters between looks at them: numbers, not copies.

A small parameter is checked whole each time, together with others of its kind. A large one is
sampled, and checked whole where its sample or its version counter says that it was written to,
or where the caller does not trust that counter: many optimizers write past it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import torch
from torch import Tensor

from sweep.watching.digests import SMALL, checksums, row_checksums, sample_checksums
from sweep.watching.parts import is_plain, parts, version

BYTES = 16
"""What a mark holds of a parameter: two checksums, or one and a version counter."""

_PLANS = 8
"""Lists of tensors of which it is kept which are alike."""

_PLACES = 16
"""With how many places a shelf begins."""

_DTYPE, _VERSION = attrgetter("dtype"), attrgetter("_version")

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
        self._alike = _Shelf()
        self._plans: dict[tuple[int, ...], _Plan] = {}

    @property
    def held_bytes(self) -> int:
        """The size of what is held."""
        return BYTES * (len(self._of) + len(self._alike.layouts))

    def forget(self, tensors: Iterable[int]) -> None:
        """Lets go of the marks of those tensors."""
        for tensor in tensors:
            self._of.pop(tensor, None)
            self._alike.forget(tensor)
        self._plans.clear()

    def forget_all(self) -> None:
        """Lets go of every mark."""
        self._of.clear()
        self._alike = _Shelf()
        self._plans.clear()

    def update(self, tensors: Sequence[Tensor], *, trusted: bool, anew: bool = True) -> Moves:
        """Says which of the tensors moved since they were marked, and marks them ``anew``.

        One that has no mark yet has not moved. With ``trusted``, a large one whose sample and
        version counter are as they were is taken to have kept still.
        """
        with torch.no_grad():
            plan, sums = self._looked_at(tensors)
            moves = self._update_others(plan.others, trusted=trusted, anew=anew)
            for kind, found in zip(plan.kinds, sums, strict=True):
                moves = moves.joined(self._alike.update(kind, found, self._of, anew=anew))
            return moves

    def _looked_at(self, tensors: Sequence[Tensor]) -> tuple[_Plan, list[np.ndarray]]:
        """Which of the tensors are alike, and the checksums of those."""
        keys = tuple(map(id, tensors))
        plan = self._plans.get(keys)
        if plan is not None and plan.holds():
            try:
                return plan, plan.checksums()
            except RuntimeError:  # some are not alike any more
                pass
        if len(self._plans) >= _PLANS:
            self._plans.clear()
        self._plans[keys] = plan = _Plan(tensors)
        return plan, plan.checksums()

    def _update_others(self, tensors: Sequence[Tensor], *, trusted: bool, anew: bool) -> Moves:
        now = {id(tensor): _Now(tensor) for tensor in tensors}
        _fill_samples(now)
        wanted = [key for key, each in now.items() if self._needs_whole(key, each, trusted)]
        _fill_wholes({key: now[key] for key in wanted})
        moved, unseen, remade = set(), set(), set()
        for key, each in now.items():
            old = self._of.get(key)
            is_new = old is None and key not in self._alike.layouts
            new = each.mark(old)
            if anew or is_new:
                self._of[key] = new
                self._alike.forget(key)
            if is_new:
                continue
            if old is None or old.layout != new.layout:
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


class _Kind:
    """Small tensors of one shape, type and device."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self.keys = np.fromiter(map(id, tensors), np.int64, len(tensors))
        self.layout = _layout_of(tensors[0])
        self.places: np.ndarray | None = None  # on the shelf; None until all are there

    def holds(self) -> bool:
        """Whether they may be alike still: `torch.stack` tells of other shapes and devices."""
        types, dtypes = set(map(type, self.tensors)), set(map(_DTYPE, self.tensors))
        first = self.tensors[0]
        return is_plain(first) and len(types | dtypes) == 2 and _layout_of(first) == self.layout

    def versions(self) -> np.ndarray:
        """How often each had been written to."""
        return np.fromiter(map(_VERSION, self.tensors), np.int64, len(self.tensors))


class _Plan:
    """Which of some tensors are alike and small, and which are looked at one by one."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        found: dict[object, list[Tensor]] = {}
        self.others: list[Tensor] = []
        for tensor in tensors:
            small = is_plain(tensor) and 0 < tensor.numel() <= SMALL and not tensor.is_complex()
            if small and not tensor.is_inference():
                found.setdefault((type(tensor), _layout_of(tensor)), []).append(tensor)
            else:
                self.others.append(tensor)
        self.kinds = [_Kind(alike) for alike in found.values()]

    def holds(self) -> bool:
        """Whether those that were alike may be so still."""
        return all(kind.holds() for kind in self.kinds)

    def checksums(self) -> list[np.ndarray]:
        """Those of each kind, of shape ``(tensors,)``; waits once for each accelerator."""
        found = [
            row_checksums(torch.stack(kind.tensors).reshape(len(kind.tensors), -1))
            for kind in self.kinds
        ]
        by_device: dict[torch.device, list[int]] = {}
        for index, each in enumerate(found):
            by_device.setdefault(each.device, []).append(index)
        host: dict[int, np.ndarray] = {}
        for indices in by_device.values():
            waiting = torch.cat([found[index] for index in indices]).cpu().numpy()
            for index in indices:
                host[index], waiting = waiting[: len(found[index])], waiting[len(found[index]) :]
        return [host[index] for index in range(len(found))]


class _Shelf:
    """The marks of small tensors: a checksum and a version counter each, by place."""

    def __init__(self) -> None:
        self.layouts: dict[int, Layout] = {}
        self._place_of: dict[int, int] = {}
        self._free: list[int] = []
        self._sums = self._versions = np.empty(0, np.int64)

    def forget(self, key: int) -> None:
        """Lets go of the mark of that tensor."""
        if self.layouts.pop(key, None) is not None:
            self._free.append(self._place_of.pop(key))

    def update(
        self, kind: _Kind, sums: np.ndarray, others: dict[int, Mark], *, anew: bool
    ) -> Moves:
        """As `Marks.update`, for a kind with those checksums; ``others`` has the other marks."""
        versions = kind.versions()
        if kind.places is None:
            return self._meet(kind, sums, versions, others, anew=anew)
        differ = sums != self._sums[kind.places]
        unseen = differ & (versions == self._versions[kind.places])
        if anew:
            self._sums[kind.places], self._versions[kind.places] = sums, versions
        return Moves(frozenset(kind.keys[differ].tolist()), frozenset(kind.keys[unseen].tolist()))

    def _meet(
        self,
        kind: _Kind,
        sums: np.ndarray,
        versions: np.ndarray,
        others: dict[int, Mark],
        *,
        anew: bool,
    ) -> Moves:
        """The same where some may be new, or were of another kind."""
        moved, unseen, remade = set(), set(), set()
        for key, sum_, version_ in zip(kind.keys.tolist(), sums, versions, strict=True):
            layout = self.layouts.get(key)
            is_new = layout is None and key not in others
            if layout == kind.layout:
                place = self._place_of[key]
                if sum_ != self._sums[place]:
                    moved.add(key)
                    if version_ == self._versions[place]:
                        unseen.add(key)
            elif not is_new:
                remade.add(key)
            if anew or is_new:
                others.pop(key, None)
                self._put(key, kind.layout, sum_, version_)
        if anew or not remade:
            kind.places = np.array([self._place_of[key] for key in kind.keys.tolist()])
        return Moves(frozenset(moved), frozenset(unseen), frozenset(remade))

    def _put(self, key: int, layout: Layout, sum_: np.int64, version_: np.int64) -> None:
        if key not in self._place_of:
            if not self._free:
                there = len(self._sums)
                self._free = list(range(there, 2 * there + _PLACES))
                self._sums = np.resize(self._sums, 2 * there + _PLACES)
                self._versions = np.resize(self._versions, 2 * there + _PLACES)
            self._place_of[key] = self._free.pop()
        self.layouts[key] = layout
        self._sums[self._place_of[key]], self._versions[self._place_of[key]] = sum_, version_


class _Now:
    """A tensor while it is looked at."""

    __slots__ = ("layout", "parts", "sample", "version", "whole")

    def __init__(self, tensor: Tensor) -> None:
        self.parts = parts(tensor)
        self.layout = _layout_of(*self.parts)
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


def _layout_of(*tensors: Tensor) -> Layout:
    return tuple((tensor.shape, tensor.dtype, tensor.device) for tensor in tensors)
