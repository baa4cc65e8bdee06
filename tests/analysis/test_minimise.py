from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import minimise
from analysis.minimise import Lattice, cover

SPACES = [
    Lattice(((1, 1, 1), (1, 1)), (False, True)),
    Lattice(((1, 1, 1, 1), (1, 1, 1)), (True, False)),
    Lattice(((1, 1), (1, 1), (1, 1, 1)), (True, False, True)),
    Lattice(((1, 1), (1, 1), (3, 1)), (False, False, False)),
    Lattice(((1, 2, 1, 1), (1, 1)), (False, False)),
]


@st.composite
def tables(draw):
    """A space, and for each of its points whether it leaks, holds or was not recorded."""
    space = draw(st.sampled_from(SPACES))
    points = list(product(*(range(len(words)) for words in space.words)))
    outcomes = draw(st.lists(st.sampled_from("LH?"), min_size=len(points), max_size=len(points)))
    return space, *([p for p, o in zip(points, outcomes, strict=True) if o == w] for w in "LH")


def masks(size, ordered):
    """Every set of values that a box may allow on one axis."""
    if not ordered:
        return range(1, 1 << size)
    return [(1 << high) - (1 << low) for low in range(size) for high in range(low + 1, size + 1)]


def has(box, point):
    return all(mask >> value & 1 for mask, value in zip(box, point, strict=True))


def written(box, space):
    """How long a box is to write: a term, a literal for each axis that it narrows, its words.

    By what a sentence says: the ends of a run, the words of a set, or "not" and the others'.
    """
    literals = words = 0
    for mask, count, ordered in zip(box, space.words, space.ordered, strict=True):
        inside = [n for place, n in enumerate(count) if mask >> place & 1]
        outside = [n for place, n in enumerate(count) if not mask >> place & 1]
        if not outside:
            continue
        literals += 1
        if ordered:
            words += (not mask & 1) + (not mask >> len(count) - 1 & 1)
        else:
            words += min(sum(inside), sum(outside) + 1)
    return (1, literals, words)


def shortest(space, leaks, holds):
    """The length of the shortest cover, by trying all of them: boxes, literals, words."""
    axes = zip(space.words, space.ordered, strict=True)
    every = product(*(masks(len(words), ordered) for words, ordered in axes))
    clear = [box for box in every if not any(has(box, hold) for hold in holds)]
    held = {box: frozenset(leak for leak in leaks if has(box, leak)) for box in clear}
    best = {frozenset(): (0, 0, 0)}
    for leak in leaks:  # whatever covers the first ones in the shortest way, and then this one
        better = {}
        for covered, price in best.items():
            chosen = (
                [(covered, price)]
                if leak in covered
                else [
                    (
                        covered | held[box],
                        tuple(map(sum, zip(price, written(box, space), strict=True))),
                    )
                    for box in clear
                    if leak in held[box]
                ]
            )
            for after, cost in chosen:
                better[after] = min(cost, better.get(after, cost))
        best = better
    return min(best.values())


def is_exact(boxes, leaks, holds):
    covered = all(any(has(box, leak) for box in boxes) for leak in leaks)
    return covered and not any(has(box, hold) for box in boxes for hold in holds)


@settings(deadline=None)  # the brute force it is held against has no bound
@given(tables())
def test_a_cover_is_exact_and_no_shorter_one_exists(table):
    space, leaks, holds = table
    found = cover(leaks, holds, space)
    assert is_exact(found.boxes, leaks, holds)
    assert found.minimal
    lengths = [written(box, space) for box in found.boxes]
    assert tuple(map(sum, zip((0, 0, 0), *lengths, strict=True))) == shortest(space, leaks, holds)


@settings(deadline=None)  # the brute force it is held against has no bound
@given(tables())
def test_boxes_on_ordered_axes_are_runs(table):
    space, leaks, holds = table
    for box in cover(leaks, holds, space).boxes:
        for mask, words, ordered in zip(box, space.words, space.ordered, strict=True):
            assert mask in masks(len(words), ordered)


@pytest.mark.parametrize("limit", ["MOST_BOXES", "MOST_SETS"])
@settings(deadline=None)  # the brute force it is held against has no bound
@given(table=tables())
def test_a_search_cut_short_is_exact_all_the_same(limit, table):
    space, leaks, holds = table
    minimise._masks.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minimise, limit, 1)
        found = cover(leaks, holds, space)
    minimise._masks.cache_clear()
    assert is_exact(found.boxes, leaks, holds)


def test_a_search_cut_short_says_so(monkeypatch):
    monkeypatch.setattr(minimise, "MOST_BOXES", 1)
    assert not cover([(0, 0)], [(1, 1)], SPACES[0]).minimal


def test_nothing_leaks_needs_no_box_and_everything_leaks_needs_the_whole():
    space = SPACES[0]
    assert cover([], [(0, 0)], space).boxes == ()
    assert cover([(0, 0), (1, 1)], [], space).boxes == (space.whole,)


def test_sets_say_no_more_than_other_boxes_leave():
    """Leaks are (1, 1), (2, 0), (2, 1): "value 1 and high, or value 2", not "1 or 2, and high"."""
    space = SPACES[0]
    leaks, holds = [(1, 1), (2, 0), (2, 1)], [(0, 0), (0, 1), (1, 0)]
    assert cover(leaks, holds, space).boxes == ((0b010, 0b10), (0b100, 0b11))


def test_many_random_points_on_long_axes_end_soon():
    space = Lattice(((1,) * 40, (1,) * 20), (True, False))
    points = list(product(range(40), range(20)))[::11]
    leaks = [p for p in points if (p[0] * 31 + p[1] * 17) % 5 == 0]
    holds = [p for p in points if (p[0] * 31 + p[1] * 17) % 5]
    assert is_exact(cover(leaks, holds, space).boxes, leaks, holds)
