"""The fewest boxes that cover every leaking point and no holding one, shortest to write.

Two-level minimisation with many-valued inputs, after Quine (1952), McCluskey (1956) and, for
more than two values an input, Rudell and Sangiovanni-Vincentelli (1987): all boxes free of
holding points, then the cheapest cover, which SciPy's integer programming (HiGHS) finds and
proves. Points that were not recorded are free to fall on either side.

A point has one value index for each axis; a box has one bit mask of allowed values for
each axis. On an ordered axis a box allows a run of neighbours, on any other axis any set.
Knows nothing of axes' names or of frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np

Point = tuple[int, ...]
Masks = tuple[int, ...]

MOST_BOXES = 50_000  # tried; beyond it there is no proof, as a second would not do
MOST_SETS = 10  # values of an axis without order, of which every set is tried
MOST_NODES = 2_000  # of the search for the cheapest cover
_A_TERM, _A_LITERAL, _A_WORD = 1_000_000, 1_000, 2  # against a "not" beyond its word
_Column = tuple[int, Masks]


@dataclass(frozen=True, slots=True)
class Lattice:
    """What the points are in.

    Attributes:
        words: for each axis, how many words each of its values takes to name.
        ordered: for each axis, whether the order of its values means something.
    """

    words: tuple[tuple[int, ...], ...]
    ordered: tuple[bool, ...]

    @property
    def whole(self) -> Masks:
        """The box of everything."""
        return tuple((1 << len(words)) - 1 for words in self.words)

    def price(self, box: Masks) -> int:
        """What it takes to write a box: a term, its literals, then the words that they name."""
        axes = zip(box, self.whole, self.words, self.ordered, strict=True)
        narrow = [(mask, words, ordered) for mask, full, words, ordered in axes if mask != full]
        return _A_TERM + _A_LITERAL * len(narrow) + sum(_named(*each) for each in narrow)


@dataclass(frozen=True, slots=True)
class Cover:
    """Boxes that together hold every leaking point and no holding one.

    ``minimal`` is False where the search was cut short, and fewer or shorter boxes might do.
    """

    boxes: tuple[Masks, ...]
    minimal: bool

    def price(self, lattice: Lattice) -> int:
        """What it takes to write them: fewer boxes first, then literals, then words named."""
        return sum(map(lattice.price, self.boxes))


def cover(leaks: Sequence[Point], holds: Sequence[Point], lattice: Lattice) -> Cover:
    """The fewest boxes over ``leaks`` clear of ``holds``, and of those the shortest to write.

    The two must not share a point. Up to `MOST_BOXES` boxes and `MOST_NODES` steps that is
    proved; beyond, it is a good cover that says so.
    """
    if not leaks:
        return Cover((), minimal=True)
    points = sorted(leaks) + sorted(holds)
    tried = list(islice(_boxes(points, len(leaks), lattice), MOST_BOXES + 1))
    axes = zip(lattice.words, lattice.ordered, strict=True)
    is_every_set_tried = all(ordered or len(words) <= MOST_SETS for words, ordered in axes)
    complete = len(tried) <= MOST_BOXES and is_every_set_tried
    clear = [(box, held) for box, held in tried if held >> len(leaks) == 0]
    if not complete:  # each leak alone, so that there is a cover whatever was not tried
        alone = (tuple(1 << value for value in point) for point in points[: len(leaks)])
        clear += [(box, 1 << number) for number, box in enumerate(alone)]
    cheapest: dict[int, _Column] = {}
    for box, held in clear:
        column = (lattice.price(box), box)
        cheapest[held] = min(column, cheapest.get(held, column))
    chosen, proved = _cheapest(cheapest, len(leaks))
    boxes = sorted(chosen, key=lambda box: _reading_order(box, lattice))
    return Cover(tuple(boxes), minimal=proved and complete)


def _boxes(points: Sequence[Point], leaks: int, lattice: Lattice) -> Iterator[tuple[Masks, int]]:
    """Boxes that hold a leak, with the points that they hold as bits, many of them clear.

    The first ``leaks`` of the points leak. An axis is narrowed only as long as that keeps a
    holding point out: what is wider holds no less and is shorter to write.
    """
    axes, leaking = range(len(lattice.words)), (1 << leaks) - 1
    within = [
        [
            (mask, sum(1 << n for n, point in enumerate(points) if mask >> point[axis] & 1))
            for mask in _masks(len(lattice.words[axis]), lattice.ordered[axis])
        ]
        for axis in axes
    ]

    def narrowed(axis: int, box: Masks, held: int) -> Iterator[tuple[Masks, int]]:
        if axis == len(axes) or not held & ~leaking:
            yield box + lattice.whole[axis:], held
            return
        for mask, inside in within[axis]:
            if held & inside & leaking:
                yield from narrowed(axis + 1, (*box, mask), held & inside)

    return narrowed(0, (), (1 << len(points)) - 1)


@cache
def _masks(size: int, ordered: bool) -> tuple[int, ...]:
    """The sets of values that a box may allow on one axis, the whole first.

    Of many values without order, those of one value and of all but one.
    """
    whole = (1 << size) - 1
    if not ordered and size > MOST_SETS:
        alone = [1 << value for value in range(size)]
        return (whole, *(whole & ~one for one in alone), *alone)
    if not ordered:
        return tuple(range(whole, 0, -1))
    runs = [(1 << high) - (1 << low) for low in range(size) for high in range(low + 1, size + 1)]
    return tuple(sorted(runs, reverse=True))


def _cheapest(columns: dict[int, _Column], leaks: int) -> tuple[list[Masks], bool]:
    """The cheapest boxes that together hold all ``leaks``, and whether that was proved."""
    from scipy.optimize import LinearConstraint, milp

    everyone = (1 << leaks) - 1
    if everyone in columns and columns[everyone][0] < 2 * _A_TERM:
        return [columns[everyone][1]], True
    held = sorted(columns)
    holds = np.array([[each >> place & 1 for each in held] for place in range(leaks)], float)
    prices = np.array([columns[each][0] for each in held], float)
    found = milp(
        prices,
        integrality=np.ones(len(held)),
        bounds=(0, 1),
        constraints=LinearConstraint(holds, lb=1),
        options={"node_limit": MOST_NODES, "mip_rel_gap": 0.0},
    )
    if found.x is None:
        return [box for _, box in columns.values()], False
    chosen = [columns[each][1] for each, taken in zip(held, found.x, strict=True) if taken > 0.5]
    return chosen, bool(found.status == 0)


def _named(mask: int, words: tuple[int, ...], ordered: bool) -> int:
    """What it takes to name a literal's words: the ends of a run, or a set's, or the others'.

    Those come behind a "not", which is a word; of two that are as long, the one without it.
    """
    if ordered:
        return _A_WORD * (2 - (mask & 1) - (mask >> len(words) - 1 & 1))
    inside = sum(count for place, count in enumerate(words) if mask >> place & 1)
    return min(_A_WORD * inside, _A_WORD * (sum(words) - inside + 1) + 1)


def _reading_order(box: Masks, lattice: Lattice) -> list[int]:
    """By the first value that each axis allows, axis by axis, those left open at the end."""
    pairs = zip(box, lattice.whole, strict=True)
    return [full + 1 if mask == full else mask & -mask for mask, full in pairs]
