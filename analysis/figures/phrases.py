"""Numbers and lists as the titles of figures say them."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.formats import percent

MOST_IN_TITLE = 3  # names that a title spells out


def joined(names: Sequence[str], last: str = "and") -> str:
    """The names as a clause of a sentence.

    >>> joined(["LBFGS"]), joined(["A", "B"]), joined(["A", "B", "C"], "or")
    ('LBFGS', 'A and B', 'A, B or C')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def counted(count: int, noun: str) -> str:
    """The count before its noun, in the plural where that is due.

    >>> counted(1, "trial"), counted(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def share_of(part: float, whole: float) -> str:
    """The part of the whole as percent.

    >>> share_of(1, 2), share_of(999, 1000)
    ('50%', '>99%')
    """
    return f"{percent(part / whole)}%"
