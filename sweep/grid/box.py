"""The arithmetic of products of axes: union, difference and size without enumeration.

Several boxes are looked at together, a bit a box: each value of an axis has the bits of the
boxes that contain it, and a point lies in the boxes whose bits all its values have.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby, product
from operator import and_, or_
from typing import Any

from sweep.values.setting import POINT_AXES, Setting

Values = tuple[tuple[Any, ...], ...]
"""The values of each axis, in the order of `POINT_AXES`."""

MOST_LOOKS = 3_000_000
"""Groups of values that are looked at before boxes overlap in too many ways; some seconds."""


class TooTangledError(Exception):
    """Boxes that overlap in too many ways to be counted."""


@dataclass(frozen=True, slots=True)
class Box:
    """The settings of one optimizer in one grid: a full product, one tuple of values an axis.

    Values are distinct along each axis; an axis that cannot apply has the one value None.
    """

    optimizer: str
    values: Values

    @property
    def size(self) -> int:
        """How many settings it has."""
        return math.prod(len(values) for values in self.values)

    def __contains__(self, setting: Setting) -> bool:
        """Whether ``setting`` is one of its points."""
        return setting.optimizer == self.optimizer and all(
            getattr(setting, axis) in values
            for axis, values in zip(POINT_AXES, self.values, strict=True)
        )

    def __iter__(self) -> Iterator[Setting]:
        """Its settings in order, the last axis fastest; nothing is held in memory."""
        for point in product(*self.values):
            yield Setting(self.optimizer, *point)


class Union:
    """Boxes of one optimizer, which may overlap."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self.boxes = boxes
        self._all = (1 << len(boxes)) - 1
        self._bits: list[dict[Any, int]] = [{} for _ in POINT_AXES]
        for index, box in enumerate(boxes):
            for bits, values in zip(self._bits, box.values, strict=True):
                for value in values:
                    bits[value] = bits.get(value, 0) | (1 << index)

    def size(self) -> int:
        """How many settings are in any of the boxes. Raises TooTangledError."""
        return _Count(self._bits, len(self.boxes)).of(self._all)

    def counts(self) -> list[Mapping[Any, int]]:
        """How many settings have each value, axis by axis. Raises TooTangledError."""
        found: list[Mapping[Any, int]] = []
        for index, bits in enumerate(self._bits):
            others = _Count([*self._bits[:index], *self._bits[index + 1 :]], len(self.boxes))
            found.append({value: others.of(containing) for value, containing in bits.items()})
        return found

    def pieces_of(self, index: int) -> Iterator[Box]:
        """Disjoint boxes with what no earlier box has of that one, in its order."""
        return self._left_of(self.boxes[index], (1 << index) - 1)

    def lacks(self, box: Box) -> Iterator[Box]:
        """Disjoint boxes with what none of the boxes has of ``box``, in its order."""
        return self._left_of(box, self._all)

    def _left_of(self, box: Box, boxes: int) -> Iterator[Box]:
        covering = [self._all]  # of the axes from each one on: the boxes that have all values
        for bits, values in zip(reversed(self._bits), reversed(box.values), strict=True):
            with_all = reduce(and_, (bits.get(value, 0) for value in values))
            covering.insert(0, covering[0] & with_all)
        left = self._left(box.values, covering, boxes)
        return (Box(box.optimizer, values) for values in left)

    def _left(
        self, values: Values, covering: Sequence[int], boxes: int, axis: int = 0
    ) -> Iterator[Values]:
        """What ``boxes`` leave of the product of ``values`` of the axes from ``axis`` on."""
        if not boxes:
            yield values[axis:]
            return
        if boxes & covering[axis]:
            return
        bits = self._bits[axis]
        for inside, alike in groupby(values[axis], lambda value: boxes & bits.get(value, 0)):
            some = tuple(alike)
            rest = list(self._left(values, covering, inside, axis + 1))
            together = [some] if len(rest) == 1 else [(value,) for value in some]
            yield from ((first, *piece) for first in together for piece in rest)


def unions(boxes: Iterable[Box]) -> Mapping[str, Union]:
    """The boxes of each optimizer together, in the order in which optimizers come."""
    found: dict[str, list[Box]] = {}
    for box in boxes:
        found.setdefault(box.optimizer, []).append(box)
    return {optimizer: Union(each) for optimizer, each in found.items()}


class _Count:
    """Counts points axis by axis; values with the same bits count alike, and once."""

    def __init__(self, bits: Sequence[Mapping[Any, int]], boxes: int) -> None:
        # An axis that tells few boxes apart comes first: what is behind it is asked less often.
        self._groups = sorted((Counter(each.values()) for each in bits), key=len)
        self._of_box = [_by_box(groups, boxes) for groups in self._groups]
        self._known: list[dict[int, int]] = [{} for _ in bits]
        self._looks = 0

    def of(self, boxes: int, axis: int = 0) -> int:
        """How many points of the axes from ``axis`` on are in any of ``boxes``."""
        if not boxes or axis == len(self._groups):
            return 1 if boxes else 0
        known = self._known[axis]
        if boxes not in known:
            alike: Counter[int] = Counter()
            for containing in self._meeting(boxes, axis):
                alike[boxes & containing] += self._groups[axis][containing]
            known[boxes] = sum(n * self.of(inside, axis + 1) for inside, n in alike.items())
        return known[boxes]

    def _meeting(self, boxes: int, axis: int) -> set[int]:
        """The bits of groups of values that are in any of ``boxes``, and maybe others."""
        if boxes.bit_count() ** 2 > len(self._groups[axis]):
            found = set(self._groups[axis])
        else:
            found = reduce(or_, (self._of_box[axis][index] for index in _indices(boxes)), set())
        self._looks += len(found)
        if self._looks > MOST_LOOKS:
            raise TooTangledError
        return found


def _by_box(groups: Mapping[int, int], boxes: int) -> list[set[int]]:
    """For each box, the bits of the groups of values that it has."""
    found: list[set[int]] = [set() for _ in range(boxes)]
    for containing in groups:
        for index in _indices(containing):
            found[index].add(containing)
    return found


def _indices(boxes: int) -> Iterator[int]:
    while boxes:
        lowest = boxes & -boxes
        yield lowest.bit_length() - 1
        boxes ^= lowest
