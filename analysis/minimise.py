"""The fewest boxes that cover every leaking point and no holding one.

Two-level minimisation with many-valued inputs, after Quine (1952), McCluskey (1956) and,
for more than two values an input, Rudell and Sangiovanni-Vincentelli (1987): all maximal
boxes free of holding points, then the cheapest cover by branch and bound. Points that were
not recorded are free to fall on either side.

A point has one value index for each axis; a box has one bit mask of allowed values for
each axis. On an ordered axis a box allows a run of neighbours, on any other axis any set.
Knows nothing of axes' names or of frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

Point = tuple[int, ...]
Box = tuple[int, ...]

MAX_BOXES = 500  # beyond it the search for all maximal boxes would take seconds
MAX_VISITS = 20_000  # likewise for the search for the cheapest cover
MAX_DEPTH = 200  # a cover of more boxes than this is no rule that anyone would read
MANY_LEAKS = 200  # from here on boxes are grown along one order of the axes alone


@dataclass(frozen=True, slots=True)
class Space:
    """What the points are in: for each axis its number of values, and whether they are ordered."""

    sizes: tuple[int, ...]
    ordered: tuple[bool, ...]

    @property
    def whole(self) -> Box:
        """The box of everything."""
        return tuple((1 << size) - 1 for size in self.sizes)


@dataclass(frozen=True, slots=True)
class Cover:
    """Boxes that together hold every leaking point and no holding one.

    ``minimal`` is False where the search was cut short, and fewer boxes might do.
    """

    boxes: tuple[Box, ...]
    minimal: bool

    def cost(self, space: Space) -> tuple[int, int]:
        """The number of boxes, then the literals it takes to write them."""
        return len(self.boxes), sum(_price(box, space) for box in self.boxes)


def cover(leaks: Sequence[Point], holds: Sequence[Point], space: Space) -> Cover:
    """The fewest boxes over ``leaks`` clear of ``holds``, and of those the shortest to write.

    The two must not share a point. Up to `MAX_BOXES` candidates and `MAX_VISITS` steps the
    number is proved minimal; beyond, it is a good cover that says so.
    """
    if not leaks:
        return Cover((), minimal=True)
    boxes = maximal_boxes(leaks, holds, space)
    complete = boxes is not None
    if boxes is None:
        boxes = _grown_boxes(leaks, holds, space)
    chosen, proved = _cheapest(boxes, leaks, space)
    narrowed = _narrowed(chosen, leaks, space)
    return Cover(
        tuple(sorted(narrowed, key=lambda box: _reading_order(box, space))),
        minimal=complete and proved,
    )


def maximal_boxes(leaks: Sequence[Point], holds: Sequence[Point], space: Space) -> list[Box] | None:
    """Every maximal box that is clear of ``holds`` and has a leak; None if they are too many.

    Starts from the box of everything and takes one holding point after the other out of it.
    """
    boxes = [space.whole]
    for point in holds:
        hit = [box for box in boxes if _has(box, point)]
        kept = [box for box in boxes if not _has(box, point)]
        pieces = dict.fromkeys(piece for box in hit for piece in _without(box, point, space))
        useful = [piece for piece in pieces if any(_has(piece, leak) for leak in leaks)]
        boxes = kept + [piece for piece in useful if not _is_inside_any(piece, kept + useful)]
        if len(boxes) > MAX_BOXES:
            return None
    return boxes


def _without(box: Box, point: Point, space: Space) -> Iterable[Box]:
    """The largest boxes inside ``box`` that leave ``point`` out, one or two an axis."""
    for axis, value in enumerate(point):
        mask, bit = box[axis], 1 << value
        parts = (mask & (bit - 1), mask & ~(2 * bit - 1)) if space.ordered[axis] else (mask & ~bit,)
        for part in filter(None, parts):
            yield (*box[:axis], part, *box[axis + 1 :])


def _is_inside_any(box: Box, others: Iterable[Box]) -> bool:
    return any(
        other != box and all(mine & ~theirs == 0 for mine, theirs in zip(box, other, strict=True))
        for other in others
    )


def _grown_boxes(leaks: Sequence[Point], holds: Sequence[Point], space: Space) -> list[Box]:
    """Maximal boxes grown from each leaking point, along the axes in every order where few."""
    axes = tuple(range(len(space.sizes)))
    few = len(axes) <= 4 and len(leaks) < MANY_LEAKS
    orders = list(permutations(axes)) if few else [axes]
    grown = (_grown(point, holds, order, space) for point in leaks for order in orders)
    return list(dict.fromkeys(grown))


def _grown(point: Point, holds: Sequence[Point], order: Sequence[int], space: Space) -> Box:
    box = [1 << value for value in point]
    for axis in order:
        rivals = [h for h in holds if all(box[a] >> h[a] & 1 for a in order if a != axis)]
        taken = {rival[axis] for rival in rivals}
        value = point[axis]
        if space.ordered[axis]:
            low = max((t for t in taken if t < value), default=-1) + 1
            high = min((t for t in taken if t > value), default=space.sizes[axis])
            box[axis] = (1 << high) - (1 << low)
        else:
            box[axis] = sum(1 << v for v in range(space.sizes[axis]) if v not in taken)
    return tuple(box)


def _cheapest(boxes: list[Box], leaks: Sequence[Point], space: Space) -> tuple[list[Box], bool]:
    """The cheapest of ``boxes`` that cover ``leaks``, and whether that was proved."""
    covers: dict[int, tuple[int, Box]] = {}
    for box in sorted(boxes):
        held = sum(1 << place for place, leak in enumerate(leaks) if _has(box, leak))
        price = _price(box, space)
        if held not in covers or price < covers[held][0]:
            covers[held] = (price, box)
    columns = [
        (held, price)
        for held, (price, _) in covers.items()
        if not any(
            held & ~other == 0 and other != held and other_price <= price
            for other, (other_price, _) in covers.items()
        )
    ]
    everything = (1 << len(leaks)) - 1
    search = _Search(columns)
    search.start_with_widest(everything)
    if len(search.best) <= MAX_DEPTH:
        search.visit(everything, [], 0)
    proved = len(search.best) <= MAX_DEPTH and search.visits <= MAX_VISITS
    return [covers[held][1] for held in search.best], proved


class _Search:
    """Branch and bound over the columns ``(leaks held, price)`` of a covering problem."""

    def __init__(self, columns: Sequence[tuple[int, int]]) -> None:
        self.columns = sorted(columns, key=lambda column: (-column[0].bit_count(), column[1]))
        self.best: list[int] = []
        self.best_cost = (0, 0)
        self.visits = 0

    def start_with_widest(self, uncovered: int) -> None:
        """Set ``best`` to the cover that takes the widest column each time."""
        price = 0
        while uncovered:
            held, extra = max(self.columns, key=lambda c: ((c[0] & uncovered).bit_count(), -c[1]))
            uncovered &= ~held
            price += extra
            self.best.append(held)
        self.best_cost = (len(self.best), price)

    def visit(self, uncovered: int, chosen: list[int], price: int) -> None:
        """Try every way to cover the rest; the best so far ends in ``best``."""
        if not uncovered:
            if (len(chosen), price) < self.best_cost:
                self.best, self.best_cost = list(chosen), (len(chosen), price)
            return
        self.visits += 1
        if self._is_hopeless(uncovered, len(chosen), price):
            return
        for held, extra in self._choices(uncovered):
            self.visit(uncovered & ~held, [*chosen, held], price + extra)

    def _is_hopeless(self, uncovered: int, used: int, price: int) -> bool:
        """Whether no completion can beat the best, or the search has gone on for too long."""
        if self.visits > MAX_VISITS:
            return True
        widest = max((held & uncovered).bit_count() for held, _ in self.columns)
        at_least = used + -(-uncovered.bit_count() // widest)
        return (at_least, price) >= self.best_cost

    def _choices(self, uncovered: int) -> list[tuple[int, int]]:
        """The columns over the leak that the fewest of them hold, the widest first."""
        rarest: list[tuple[int, int]] | None = None
        remaining = uncovered
        while remaining:
            bit = remaining & -remaining
            remaining ^= bit
            over = [column for column in self.columns if column[0] & bit]
            if rarest is None or len(over) < len(rarest):
                rarest = over
            if len(rarest) == 1:
                break
        found = rarest or []
        return sorted(found, key=lambda column: -(column[0] & uncovered).bit_count())


def _narrowed(boxes: Sequence[Box], leaks: Sequence[Point], space: Space) -> list[Box]:
    """``boxes`` with values dropped from their sets where other boxes have those leaks.

    Keeps the cover and its number of boxes, and turns "zero or never" into "zero" where
    another box has all of "never". Boxes with the most literals give way first.
    """
    result = sorted(boxes, key=lambda box: (-_literals(box, space), box))
    for place, box in enumerate(result):
        others = result[:place] + result[place + 1 :]
        mine = [leak for leak in leaks if not any(_has(other, leak) for other in others)]
        result[place] = tuple(
            mask if ordered else _shorter({leak[axis] for leak in mine}, mask, size)
            for axis, (mask, ordered, size) in enumerate(
                zip(box, space.ordered, space.sizes, strict=True)
            )
        )
    return result


def _shorter(needed: set[int], mask: int, size: int) -> int:
    """The mask of ``needed`` alone where that is shorter to write than ``mask``."""
    smallest = sum(1 << value for value in needed)
    full = (1 << size) - 1
    if mask == full or not needed or _named(smallest, size) >= _named(mask, size):
        return mask
    return smallest


def _named(mask: int, size: int) -> int:
    """How many values it takes to name a set, by its members or by what it lacks."""
    members = mask.bit_count()
    return members if members <= 2 else min(members, size - members)


def _has(box: Box, point: Point) -> bool:
    return all(mask >> value & 1 for mask, value in zip(box, point, strict=True))


def _literals(box: Box, space: Space) -> int:
    return sum(mask != full for mask, full in zip(box, space.whole, strict=True))


def _price(box: Box, space: Space) -> int:
    """What it takes to write a box: its literals first, then the values they name."""
    named = 0
    for mask, full, ordered in zip(box, space.whole, space.ordered, strict=True):
        named += 0 if mask == full else 1 if ordered else mask.bit_count()
    return 1000 * _literals(box, space) + named


def _reading_order(box: Box, space: Space) -> list[int]:
    """By the first value that each axis allows, axis by axis, those left open at the end."""
    pairs = zip(box, space.whole, strict=True)
    return [full + 1 if mask == full else mask & -mask for mask, full in pairs]
