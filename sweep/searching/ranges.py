"""The ranges that a search explores: their usual ends, and how the command line says them.

Whether anything has such a number is for `sweep.searching.space` to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from optuna.distributions import FloatDistribution, IntDistribution

from sweep.errors import SpecError
from sweep.grid.complaint import shown
from sweep.values.words import Axis

PERIOD = "period"
"""The N of the schedule ``every:N``, in place of the schedules of the grid."""
BETA2 = "beta2"
"""The second element of ``betas``, or the argument of that name."""
MAX_PERIOD = 999_999_999
_OPTION = "--range"


Range = FloatDistribution | IntDistribution
"""Numbers from its ``low`` to its ``high``, both included; whole ones where it is `PERIOD`'s.

``log`` says whether they are drawn by their logarithms. It is known by its name: an axis (lr,
weight_decay or momentum), `PERIOD`, `BETA2`, or an argument of an optimizer's constructor, such as
``eps`` or ``betas[1]``.
"""

USUAL: Mapping[str, Range] = {
    Axis.LR.value: FloatDistribution(1e-4, 1.0, log=True),
    Axis.WEIGHT_DECAY.value: FloatDistribution(0.0, 0.5),
    Axis.MOMENTUM.value: FloatDistribution(0.0, 0.99),
    BETA2: FloatDistribution(0.5, 0.9999),
    "eps": FloatDistribution(1e-10, 1e-2, log=True),
    PERIOD: IntDistribution(2, 10),
}
"""What is taken where a range has no ends."""

UNASKED = (Axis.LR.value, Axis.WEIGHT_DECAY.value, Axis.MOMENTUM.value)
"""The axes that are explored where no range is given."""


def range_text(name: str, explored: Range) -> str:
    """The range as ``--range`` takes it.

    >>> range_text("lr", FloatDistribution(1e-4, 1.0, log=True))
    'lr=0.0001:1.0:log'
    """
    return f"{name}={explored.low}:{explored.high}{':log' if explored.log else ''}"


def parse_ranges(texts: Sequence[str], *, pinned: Sequence[str] = ()) -> dict[str, Range]:
    """The ranges, by name, that ``texts`` say, each ``NAME=LO:HI``, ``NAME=LO:HI:log`` or ``NAME``.

    Where there are none, those of `UNASKED` that are not ``pinned`` (axes whose values were
    set). Raises SpecError for a text that is none of these, ends that do not hold together,
    and a name that comes twice or is pinned.
    """
    if not texts:
        return {name: USUAL[name] for name in UNASKED if name not in pinned}
    found: dict[str, Range] = {}
    for text in texts:
        name, equals, ends = (part.strip() for part in text.partition("="))
        if not equals and name not in USUAL:
            raise SpecError(
                f"needs NAME=LO:HI or NAME=LO:HI:log; {shown(text)} came. Only "
                f"{', '.join(USUAL)} have ends of their own.",
                where=_OPTION,
            )
        explored = _between(name, ends) if equals else USUAL[name]
        if name in found:
            raise _wrong(name, "is given twice; leave one of them out.")
        if name in pinned:
            raise _wrong(name, f"has values from --set {name}=..., too; leave one of them out.")
        found[name] = explored
    return found


def _between(name: str, ends: str) -> Range:
    first, _, rest = ends.partition(":")
    second, colon, scale = rest.partition(":")
    if colon and scale != "log":
        raise _wrong(name, f"ends in {shown(scale)}; what may stand there is log.")
    low, high = _number(name, first), _number(name, second)
    _check(name, low, high, log=bool(colon))
    if name == PERIOD:
        return IntDistribution(int(low), int(high), log=bool(colon))
    return FloatDistribution(low, high, log=bool(colon))


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


def _check(name: str, low: float, high: float, *, log: bool) -> None:
    if low >= high:
        raise _wrong(
            name,
            f"goes from {low:g} to {high:g}; the first must be less than the second. One value "
            f"alone is --set {name}={low:g}.",
        )
    if log and low == 0:
        raise _wrong(name, f"has no logarithm at 0; begin above it, such as {high / 1e4:g}.")
    if name == PERIOD and not 2 <= low <= high <= MAX_PERIOD:
        message = f"needs periods from 2 (every other step) to {MAX_PERIOD}; every:1 never freezes."
        raise _wrong(name, message)
    if name == BETA2 and high >= 1:
        raise _wrong(name, f"must end below 1, not at {high:g}, such as 0.9999.")


def _wrong(name: str, message: str) -> SpecError:
    return SpecError(message, where=_OPTION, key=shown(name).strip("'"))
