"""The ranges that a search explores: their usual ends, and how the command line says them.

Whether anything has such a number is for `sweep.searching.space` to say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sweep.errors import SpecError
from sweep.grid.complaint import shown
from sweep.values.words import Axis

PERIOD = "period"
"""The N of the schedule ``every:N``, in place of the schedules of the grid."""
BETA2 = "beta2"
"""The second element of ``betas``, or the argument of that name."""
MAX_PERIOD = 999_999_999
_OPTION = "--range"


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones where it is `PERIOD`'s.

    Attributes:
        name: an axis (lr, weight_decay or momentum), `PERIOD`, `BETA2`, or an argument of an
            optimizer's constructor, such as ``eps`` or ``betas[1]``.
        log: whether they are drawn by their logarithms.
    """

    name: str
    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        """The range as ``--range`` takes it.

        >>> str(Range("lr", 1e-4, 1.0, log=True))
        'lr=0.0001:1.0:log'
        """
        return f"{self.name}={self.low}:{self.high}{':log' if self.log else ''}"


USUAL = {
    usual.name: usual
    for usual in (
        Range(Axis.LR.value, 1e-4, 1.0, log=True),
        Range(Axis.WEIGHT_DECAY.value, 0.0, 0.5),
        Range(Axis.MOMENTUM.value, 0.0, 0.99),
        Range(BETA2, 0.5, 0.9999),
        Range("eps", 1e-10, 1e-2, log=True),
        Range(PERIOD, 2, 10),
    )
}
"""What is taken where a range has no ends."""

UNASKED = (Axis.LR.value, Axis.WEIGHT_DECAY.value, Axis.MOMENTUM.value)
"""The axes that are explored where no range is given."""


def parse_ranges(texts: Sequence[str], *, pinned: Sequence[str] = ()) -> tuple[Range, ...]:
    """The ranges that ``texts`` say, each ``NAME=LO:HI``, ``NAME=LO:HI:log`` or ``NAME``.

    Where there are none, those of `UNASKED` that are not ``pinned`` (axes whose values were
    set). Raises SpecError for a text that is none of these, ends that do not hold together,
    and a name that comes twice or is pinned.
    """
    if not texts:
        return tuple(USUAL[name] for name in UNASKED if name not in pinned)
    found: dict[str, Range] = {}
    for text in texts:
        parsed = _parsed(text)
        if parsed.name in found:
            raise _wrong(parsed.name, "is given twice; leave one of them out.")
        if parsed.name in pinned:
            message = f"has values from --set {parsed.name}=..., too; leave one of them out."
            raise _wrong(parsed.name, message)
        found[parsed.name] = parsed
    return tuple(found.values())


def _parsed(text: str) -> Range:
    name, equals, ends = (part.strip() for part in text.partition("="))
    if not equals and name in USUAL:
        return USUAL[name]
    if not equals:
        raise SpecError(
            f"needs NAME=LO:HI or NAME=LO:HI:log; {shown(text)} came. Only "
            f"{', '.join(USUAL)} have ends of their own.",
            where=_OPTION,
        )
    low, _, rest = ends.partition(":")
    high, colon, scale = rest.partition(":")
    if colon and scale != "log":
        raise _wrong(name, f"ends in {shown(scale)}; what may stand there is log.")
    found = Range(name, _number(name, low), _number(name, high), log=bool(colon))
    _check(found)
    return found


def _number(name: str, text: str) -> float:
    kind = int if name == PERIOD else float
    try:
        found = kind(text)
    except ValueError:
        what = "whole numbers" if name == PERIOD else "numbers"
        message = f"needs LO:HI, two {what}, and maybe :log; {shown(text)} came for one."
        raise _wrong(name, message) from None
    if not math.isfinite(found) or found < 0:
        raise _wrong(name, f"needs finite numbers >= 0; {shown(text)} came.")
    return found + 0.0 if name != PERIOD else found  # -0.0 + 0.0 is 0.0


def _check(found: Range) -> None:
    if found.low >= found.high:
        raise _wrong(
            found.name,
            f"goes from {found.low:g} to {found.high:g}; the first must be less than the second. "
            f"One value alone is --set {found.name}={found.low:g}.",
        )
    if found.log and found.low == 0:
        message = f"has no logarithm at 0; begin above it, such as {found.high / 1e4:g}."
        raise _wrong(found.name, message)
    if found.name == PERIOD and not 2 <= found.low <= found.high <= MAX_PERIOD:
        message = f"needs periods from 2 (every other step) to {MAX_PERIOD}; every:1 never freezes."
        raise _wrong(found.name, message)
    if found.name == BETA2 and found.high >= 1:
        raise _wrong(found.name, f"must end below 1, not at {found.high:g}, such as 0.9999.")


def _wrong(name: str, message: str) -> SpecError:
    return SpecError(message, where=_OPTION, key=shown(name).strip("'"))
