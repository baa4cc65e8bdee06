"""A rule as a value: conditions over the axes that say which trials leak.

A rule is a disjunction of terms, a term a conjunction of literals, a literal a statement
about one axis. It can be evaluated on any frame and reads as a sentence. How the smallest
one is found is in `analysis.minimise` and `analysis.tables.leak_rules`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context

import pandas as pd

NULL = -math.inf
"""Where an axis that cannot apply stands among its numbers: below them all."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The axis has one of ``values``; ``others`` are the values seen that are left out."""

    axis: str
    values: tuple[str, ...]
    others: tuple[str, ...] = ()

    def evaluate(self, frame: pd.DataFrame) -> pd.Series:
        """Which rows have one of the values, as booleans."""
        return frame[self.axis].isin(self.values)

    def __str__(self) -> str:
        """The literal in words, by the values left out where that is shorter.

        >>> str(OneOf("freeze", ("detach", "no_grad"))), str(OneOf("freeze", ("detach",)))
        ('freeze in {detach, no_grad}', 'freeze = detach')
        """
        few = 0 < len(self.others) < len(self.values) - 1
        words, is_one, is_in = (
            (self.others, "is not", "not in") if few else (self.values, "=", "in")
        )
        if len(words) == 1:
            return f"{self.axis} {is_one} {words[0]}"
        return f"{self.axis} {is_in} {{{', '.join(words)}}}"


@dataclass(frozen=True, slots=True)
class Between:
    """The axis is greater than ``above`` and at most ``upto``; None leaves that side open.

    Null is `NULL`, below every number.
    """

    axis: str
    above: float | None
    upto: float | None

    def evaluate(self, frame: pd.DataFrame) -> pd.Series:
        """Which rows are inside, as booleans."""
        numbers = frame[self.axis].fillna(NULL)
        inside = numbers <= (math.inf if self.upto is None else self.upto)
        return inside if self.above is None else inside & (numbers > self.above)

    def __str__(self) -> str:
        """The literal in words; no axis has negative numbers, so at most 0 is 0.

        >>> str(Between("momentum", 0.0, None)), str(Between("lr", None, 0.01))
        ('momentum > 0', 'lr <= 0.01')
        """
        if self.upto == NULL or (self.upto is None and self.above == NULL):
            return f"{self.axis} is {'not ' if self.upto is None else ''}null"
        if self.above in (None, NULL):
            return f"{self.axis} {'=' if self.upto == 0 else '<='} {self.upto:.12g}"
        if self.upto is None:
            return f"{self.axis} > {self.above:.12g}"
        return f"{self.above:.12g} < {self.axis} <= {self.upto:.12g}"


Literal = OneOf | Between
Term = tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """Leaks where any term holds, that is where all of one term's literals hold.

    No term at all never leaks; a term without literals always does.
    """

    terms: tuple[Term, ...]

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes that it looks at, in the order they are first named."""
        return tuple(dict.fromkeys(literal.axis for term in self.terms for literal in term))

    def evaluate(self, frame: pd.DataFrame) -> pd.Series:
        """Whether each row of ``frame`` leaks by this rule, as booleans."""
        leaks = pd.Series(False, index=frame.index)
        for term in self.terms:
            inside = pd.Series(True, index=frame.index)
            for literal in term:
                inside &= literal.evaluate(frame)
            leaks |= inside
        return leaks

    def __str__(self) -> str:
        """The rule as a sentence, with what its terms share said once.

        >>> zero = OneOf("zero_grad", ("zero",))
        >>> print(Rule(((zero, Between("momentum", 0.0, None)),
        ...             (zero, Between("weight_decay", 0.0, None)),
        ...             (OneOf("zero_grad", ("never",)),))))
        leaks when zero_grad = zero and (momentum > 0 or weight_decay > 0), or zero_grad = never
        """
        if not self.terms:
            return "never leaks"
        if () in self.terms:
            return "always leaks"
        return f"leaks when {_any_of(self.terms)}"


def _any_of(terms: Sequence[Term]) -> str:
    """``terms`` joined by "or", those that share literals put behind them in parentheses."""
    pieces = []
    left = list(terms)
    while left:
        counts = Counter(literal for term in left for literal in term)
        shared, uses = counts.most_common(1)[0]
        alike = [term for term in left if uses > 1 and shared in term and shared in left[0]]
        if not alike:
            pieces.append(" and ".join(map(str, left.pop(0))))
            continue
        left = [term for term in left if term not in alike]
        common = [literal for literal in alike[0] if all(literal in term for term in alike)]
        rests = [tuple(x for x in term if x not in common) for term in alike]
        pieces.append(f"{' and '.join(map(str, common))} and ({_any_of(rests)})")
    joint = ", or " if any(" and " in piece for piece in pieces) else " or "
    return joint.join(pieces)


def fewest_digits(low: float, high: float) -> float:
    """The number of the fewest digits that is at least ``low`` and below ``high``.

    >>> fewest_digits(0.0123, 0.0201), fewest_digits(-1.0, 0.5)
    (0.02, -inf)
    """
    if low < 0:
        return NULL
    for digits in range(1, 18):
        up = Context(prec=digits, rounding=ROUND_CEILING)
        value = float(up.create_decimal_from_float(low))
        if low <= value < high:
            return value
    return low
