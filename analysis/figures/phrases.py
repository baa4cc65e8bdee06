"""Numbers and lists as the titles of figures say them."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.formats import percent


def listed(names: Sequence[str]) -> str:
    """The names as a clause of a sentence.

    >>> listed(["LBFGS"]), listed(["A", "B"]), listed(["A", "B", "C"])
    ('LBFGS', 'A and B', 'A, B and C')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def counted(count: int, noun: str) -> str:
    """The count before its noun, in the plural where that is due.

    >>> counted(1, "trial"), counted(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def share(part: int, whole: int) -> str:
    """The part of the whole as percent.

    >>> share(1, 2), share(999, 1000)
    ('50%', '>99%')
    """
    return f"{percent(part / whole)}%"
