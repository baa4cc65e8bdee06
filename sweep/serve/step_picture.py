"""A trial's steps as a picture: how far the layer moved on each, and the loss, as plain SVG.

Owns the geometry; the template owns the colours. Movements stand on a log axis, and steps
that kept still on a strip of their own below it, as 0 has no place on such an axis.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_LEFT, _RIGHT, _TOP, _BASE, _STRIP = 52, 632, 10, 176, 192  # in a picture of 640 by 220
_MOST_STEPS = 100_000  # that are read
_MOST_MARKS = 600  # of each kind: more lie on each other
_Axis = Callable[[float], float]
_STEPS = """
SELECT step, frozen, loss, moved, max_change FROM step WHERE trial_id = ? ORDER BY step LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class StepMark:
    """A step: where it stands, what it was (``leak``, ``moved`` or ``still``), and its words."""

    x: float
    y: float
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class StepPicture:
    """The picture.

    Attributes:
        marks: a mark a step.
        loss: the points of the loss's line, each ``x,y``.
        ticks: heights of the log axis, with what stands there.
        first, last: the numbers at the ends of the axis.
        words: what is to be seen, as one sentence.
    """

    marks: list[StepMark]
    loss: str
    ticks: list[tuple[float, str]]
    first: int
    last: int
    words: str


def step_picture(connection: sqlite3.Connection, trial_id: int) -> StepPicture | None:
    """The picture of that trial's steps; None where they were not recorded."""
    rows = connection.execute(_STEPS, (trial_id, _MOST_STEPS)).fetchall()
    steps = [row for row in rows if isinstance(row["step"], int)]
    if not steps:
        return None
    first, last = steps[0]["step"], max(steps[-1]["step"], steps[0]["step"] + 1)
    across = _axis(first, last, _LEFT, _RIGHT)
    powers = [math.log10(row["max_change"]) for row in steps if _is_size(row["max_change"])]
    low = math.floor(min(powers, default=0))
    high = max(math.ceil(max(powers, default=0)), low + 1)
    up = _axis(low, high, _BASE, _TOP)
    ticks = range(low, high + 1, math.ceil((high - low) / 5)) if powers else ()
    every = math.ceil(len(steps) / _MOST_MARKS)
    leaks = sum(bool(row["frozen"] and row["moved"]) for row in steps)
    frozen = sum(bool(row["frozen"]) for row in steps)
    shown = "" if every == 1 else f" Of every {every} steps, the one that moved farthest is drawn."
    return StepPicture(
        marks=[_mark(row, across, up) for row in _thinned(steps, every)],
        loss=_line(steps[::every], across),
        ticks=[(up(power), f"1e{power:+03d}") for power in ticks],
        first=first,
        last=last,
        words=f"{len(steps):,} steps, {frozen:,} of them frozen; the layer moved on {leaks:,} of "
        f"these.{shown}",
    )


def _mark(row: sqlite3.Row, across: _Axis, up: _Axis) -> StepMark:
    size, frozen, y, kind, did = row["max_change"], row["frozen"], float(_STRIP), "still", "still"
    if row["moved"]:
        kind = "leak" if frozen else "moved"
        y = up(math.log10(size)) if _is_size(size) else float(_TOP)
        did = f"moved by {size:.4g}" if isinstance(size, float) else "moved"
    words = f"step {row['step']}, {'frozen' if frozen else 'attached'}: {did}"
    return StepMark(round(across(row["step"]), 1), round(y, 1), kind, words)


def _is_size(value: object) -> bool:
    return isinstance(value, float) and 0 < value < math.inf


def _thinned(steps: Sequence[sqlite3.Row], every: int) -> Iterator[sqlite3.Row]:
    """Of every so many steps, attached and frozen ones apart, the one that moved farthest."""
    for is_frozen in (False, True):
        own = [row for row in steps if bool(row["frozen"]) is is_frozen]
        for place in range(0, len(own), every):
            yield max(own[place : place + every], key=_size)


def _size(row: sqlite3.Row) -> float:
    return row["max_change"] if isinstance(row["max_change"], float) else 0.0


def _line(steps: Sequence[sqlite3.Row], across: _Axis) -> str:
    known = [(row["step"], math.log10(row["loss"])) for row in steps if _is_size(row["loss"])]
    if len(known) < 2:
        return ""
    low, high = (limit(loss for _, loss in known) for limit in (min, max))
    up = _axis(low, max(high, low + 0.01), _BASE, _TOP)
    return " ".join(f"{across(step):.1f},{up(loss):.1f}" for step, loss in known)


def _axis(low: float, high: float, start: float, end: float) -> _Axis:
    return lambda value: start + (value - low) / (high - low) * (end - start)
