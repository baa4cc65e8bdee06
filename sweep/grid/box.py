"""The arithmetic of products of axes: membership, difference and size without enumeration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from sweep.values.setting import Setting
from sweep.values.words import Axis

AXES = tuple(axis for axis in Axis if axis is not Axis.OPTIMIZER)
"""The order of a box's axes, which is that of `Setting`'s fields after the optimizer."""


@dataclass(frozen=True, slots=True)
class Box:
    """The settings of one optimizer in one grid: a full product, one tuple of values an axis.

    Values are distinct along each axis; an axis that cannot apply has the one value None.
    """

    optimizer: str
    values: tuple[tuple[Any, ...], ...]
    _sets: tuple[frozenset[Any], ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Keeps each axis as a set too, for membership."""
        object.__setattr__(self, "_sets", tuple(frozenset(values) for values in self.values))

    @property
    def size(self) -> int:
        """How many settings it has."""
        return math.prod(len(values) for values in self.values)

    def __contains__(self, setting: Setting) -> bool:
        """Whether ``setting`` is one of its points."""
        return setting.optimizer == self.optimizer and all(
            getattr(setting, axis) in values for axis, values in zip(AXES, self._sets, strict=True)
        )

    def __iter__(self) -> Iterator[Setting]:
        """Its settings in order, the last axis fastest; nothing is held in memory."""
        for point in product(*self.values):
            yield Setting(self.optimizer, *point)

    def minus(self, other: Box) -> Iterator[Box]:
        """Disjoint boxes that together hold the settings of this one that ``other`` lacks."""
        if self.optimizer != other.optimizer or any(
            mine.isdisjoint(theirs) for mine, theirs in zip(self._sets, other._sets, strict=True)
        ):
            yield self
            return
        values = list(self.values)
        for index, theirs in enumerate(other._sets):
            outside = tuple(value for value in values[index] if value not in theirs)
            if outside:
                yield Box(self.optimizer, (*values[:index], outside, *values[index + 1 :]))
            values[index] = tuple(value for value in values[index] if value in theirs)


def remainder(box: Box, others: Iterable[Box]) -> list[Box]:
    """Disjoint boxes that together hold the settings of ``box`` in none of ``others``."""
    left = [box]
    for other in others:
        if not left:
            break
        left = [piece for box in left for piece in box.minus(other)]
    return left


def disjoint(boxes: Iterable[Box]) -> list[Box]:
    """Disjoint boxes with the same settings as the union of ``boxes``."""
    seen: dict[str, list[Box]] = {}
    pieces: list[Box] = []
    for box in boxes:
        earlier = seen.setdefault(box.optimizer, [])
        pieces += remainder(box, earlier)
        earlier.append(box)
    return pieces
