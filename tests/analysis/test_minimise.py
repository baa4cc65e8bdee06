from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import minimise
from analysis.minimise import Space, cover

SPACES = [
    Space((3, 2), (False, True)),
    Space((4, 3), (True, False)),
    Space((2, 2, 3), (True, False, True)),
    Space((2, 2, 2), (False, False, False)),
]


@st.composite
def tables(draw):
    """A space, and for each of its points whether it leaks, holds or was not recorded."""
    space = draw(st.sampled_from(SPACES))
    points = list(product(*(range(size) for size in space.sizes)))
    outcomes = draw(st.lists(st.sampled_from("LH?"), min_size=len(points), max_size=len(points)))
    return space, *([p for p, o in zip(points, outcomes, strict=True) if o == w] for w in "LH")


def masks(size, ordered):
    """Every set of values that a box may allow on one axis."""
    if not ordered:
        return range(1, 1 << size)
    return [(1 << high) - (1 << low) for low in range(size) for high in range(low + 1, size + 1)]


def has(box, point):
    return all(mask >> value & 1 for mask, value in zip(box, point, strict=True))


def fewest_boxes(space, leaks, holds):
    """By trying all combinations of all boxes."""
    axes = zip(space.sizes, space.ordered, strict=True)
    every = product(*(masks(size, ordered) for size, ordered in axes))
    clear = [box for box in every if not any(has(box, hold) for hold in holds)]
    held = {frozenset(leak for leak in leaks if has(box, leak)) for box in clear}
    widest = [one for one in held if not any(one < other for other in held)]
    for count in range(len(leaks) + 1):
        for chosen in combinations(widest, count):
            if frozenset().union(*chosen) == frozenset(leaks):
                return count
    raise AssertionError("a box for each leak always does")


def is_exact(boxes, leaks, holds):
    covered = all(any(has(box, leak) for box in boxes) for leak in leaks)
    return covered and not any(has(box, hold) for box in boxes for hold in holds)


@settings(deadline=None)  # the brute force it is held against has no bound
@given(tables())
def test_a_cover_is_exact_and_no_smaller_one_exists(table):
    space, leaks, holds = table
    found = cover(leaks, holds, space)
    assert is_exact(found.boxes, leaks, holds)
    assert found.minimal
    assert len(found.boxes) == fewest_boxes(space, leaks, holds)


@settings(deadline=None)  # the brute force it is held against has no bound
@given(tables())
def test_boxes_on_ordered_axes_are_runs(table):
    space, leaks, holds = table
    for box in cover(leaks, holds, space).boxes:
        for mask, size, ordered in zip(box, space.sizes, space.ordered, strict=True):
            assert mask in masks(size, ordered)


@pytest.mark.parametrize("limit", ["MAX_BOXES", "MAX_VISITS", "MAX_DEPTH", "MANY_LEAKS"])
@settings(deadline=None)  # the brute force it is held against has no bound
@given(table=tables())
def test_a_search_cut_short_is_exact_all_the_same(limit, table):
    space, leaks, holds = table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minimise, limit, 0)
        if limit == "MANY_LEAKS":
            patch.setattr(minimise, "MAX_BOXES", 0)
        found = cover(leaks, holds, space)
    assert is_exact(found.boxes, leaks, holds)


def test_a_search_cut_short_says_so(monkeypatch):
    monkeypatch.setattr(minimise, "MAX_BOXES", 0)
    assert not cover([(0, 0)], [(1, 1)], SPACES[0]).minimal


def test_nothing_leaks_needs_no_box_and_everything_leaks_needs_the_whole():
    space = SPACES[0]
    assert cover([], [(0, 0)], space).boxes == ()
    assert cover([(0, 0), (1, 1)], [], space).boxes == (space.whole,)


def test_sets_are_narrowed_to_what_other_boxes_leave():
    """Leaks are (1, 1), (2, 0), (2, 1): "value 1 and high, or value 2", not "1 or 2, and high"."""
    space = Space((3, 2), (False, True))
    leaks, holds = [(1, 1), (2, 0), (2, 1)], [(0, 0), (0, 1), (1, 0)]
    assert cover(leaks, holds, space).boxes == ((0b010, 0b10), (0b100, 0b11))


def test_many_random_points_on_long_ordered_axes_end_soon():
    space = Space((40, 40), (True, True))
    points = list(product(range(40), range(40)))[::11]
    leaks = [p for p in points if (p[0] * 31 + p[1] * 17) % 5 == 0]
    holds = [p for p in points if (p[0] * 31 + p[1] * 17) % 5]
    assert is_exact(cover(leaks, holds, space).boxes, leaks, holds)
