"""What a watch found: how each parameter fared under each optimizer, as plain values.

Nothing here grows with the number of steps: counts are kept, and the first so many leaks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from sweep.trial.probe import Change
from sweep.values.outcome import Causes
from sweep.values.words import GradState
from sweep.watching.states import State

UNKNOWN = "unknown"
DESPITE_NONE = "despite None"

KEPT_LEAKS = 100
"""Leaks of a parameter that are kept one by one; the later ones are counted."""

KEPT_ROWS = 2**25
"""RowSet, moved or not, of all leaks kept in a watch: 4 MiB of bits."""


class Remedy(StrEnum):
    """What was rehearsed and keeps a parameter still, simplest first."""

    NONE = "none"  # its grad is None
    NO_DECAY = "no_decay"  # its group has no weight decay
    CLEAR_STATE = "clear_state"  # what the optimizer keeps for it is zeros
    CLEAR_STATE_NO_DECAY = "clear_state_no_decay"


@dataclass(frozen=True, slots=True)
class Cause:
    """What moved a parameter, as far as it was found out.

    Attributes:
        causes: what rehearsing the step showed; None if that could not be done.
        unexplained: why not; None where it could.
        despite_none: it moved although its grad was None, which needs no rehearsing.
        shares: by source, how far it moves the parameter alone, over the whole movement; both
            as L2 norms, so that shares need not add to 1.
        remedies: what was rehearsed as well, and kept it still.
    """

    causes: Causes | None
    unexplained: str | None = None
    despite_none: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)
    remedies: tuple[Remedy, ...] = ()

    def __str__(self) -> str:
        """The causes as the database's column ``causes`` has them."""
        if self.causes is None:
            return DESPITE_NONE if self.despite_none else UNKNOWN
        named = [self.causes.sets] if self.causes.sets else []
        return ", ".join(named + [DESPITE_NONE] * self.causes.despite_none) or UNKNOWN


class RowSet:
    """Some of a parameter's rows, a bit each."""

    __slots__ = ("_bits", "_count")

    def __init__(self, moved: np.ndarray) -> None:
        """``moved`` is boolean, of shape ``(rows,)``."""
        self._bits = np.packbits(moved)
        self._count = len(moved)

    @property
    def of(self) -> int:
        """How many rows there are."""
        return self._count

    def __len__(self) -> int:
        return int(np.unpackbits(self._bits, count=self._count).sum())

    def numbers(self) -> tuple[int, ...]:
        """The rows, in order."""
        return tuple(np.unpackbits(self._bits, count=self._count).nonzero()[0].tolist())

    def joined(self, other: RowSet | None) -> RowSet:
        """The rows of both."""
        if other is None:
            return self
        rows = [np.unpackbits(each._bits, count=each._count) for each in (self, other)]
        longest = max(map(len, rows))
        return RowSet(np.logical_or(*(np.pad(each, (0, longest - len(each))) for each in rows)))


@dataclass(frozen=True, slots=True)
class Leak:
    """One parameter that one step moved though it was to keep still.

    Attributes:
        parameter: its name.
        optimizer: which of the watched optimizers, counting from 0.
        step: which of that optimizer's steps under watch, counting from 0.
        change: how far it moved, where rows or masks are judged, those alone; None where it
            had kept still in the same circumstances before, so that no copy was at hand.
        state: what the step found in its grad.
        moved_rows: the rows that moved; None where whole parameters are watched.
        explanation: why; None for all but a parameter's first leaks, until one is explained.
    """

    parameter: str
    optimizer: int
    step: int
    change: Change | None
    state: State
    moved_rows: RowSet | None = None
    explanation: Cause | None = None

    @property
    def grad(self) -> GradState:
        """What the step found in its grad, in the words of the sweep."""
        return self.state.grad

    @property
    def rows(self) -> tuple[int, ...] | None:
        """The rows that moved, in order; None where whole parameters are watched."""
        return None if self.moved_rows is None else self.moved_rows.numbers()

    @property
    def max_change(self) -> float:
        """The largest change of an element; NaN where one became NaN, or nothing was measured."""
        return math.nan if self.change is None else self.change.max_change


@dataclass(slots=True)
class Fared:
    """How a parameter fared on the steps of one kind.

    Attributes:
        steps: how many there were.
        moved: on how many of them it moved.
        first, last: the first and the last of those; None if there is none.
        largest: the largest change of an element that is a number.
        total: the sum of the L2 norms of the changes.
        became_nan: a change was NaN: an element became NaN, or stopped being it.
        measured: on how many of them the change was measured.
        found: what the step found in the grad on those on which it moved.
    """

    steps: int = 0
    moved: int = 0
    first: int | None = None
    last: int | None = None
    largest: float = 0.0
    total: float = 0.0
    became_nan: bool = False
    measured: int = 0
    found: set[State] = field(default_factory=set)

    @property
    def largest_change(self) -> float | None:
        """The largest change of an element; NaN if one became NaN, None if none was measured."""
        if self.became_nan:
            return math.nan
        return self.largest if self.measured else None

    def add(self, step: int, state: State, *, moved: bool, change: Change | None = None) -> None:
        """Counts one step; ``change`` is how far it moved, where that was measured."""
        self.steps += 1
        if not moved:
            return
        self.moved += 1
        self.found.add(state)
        self.first = step if self.first is None else self.first
        self.last = step
        if change is None:
            return
        self.measured += 1
        self.total += change.l2
        if math.isnan(change.max_change):
            self.became_nan = True
        else:
            self.largest = max(self.largest, change.max_change)


@dataclass(slots=True)
class Record:
    """How one parameter fared under one optimizer.

    Attributes:
        states: on how many steps its grad was in each state.
        moves: on how many of those the step moved it.
        still: the steps on which it was to keep still.
        zeros: those on which autograd brought zeros, where they count as a gradient.
        state: what a step found in its grad at the first leak, or else at the first step on
            which it was to keep still, or was brought zeros.
        by_hand: whether a gradient had come before that, and zeros were put in its place.
        at_rate_zero: steps on which a gradient of the step's own did not move it and its
            group's learning rate was 0.
        in_part: whether rows or elements of it are judged.
        leaks: the first of the leaks, in order; ``still.moved`` counts all.
        moved_rows: the rows that leaked on any step, where rows are judged.
        outside: between how many of the optimizer's steps something else moved it.
        explanation: why it leaked, or else moved on zeros that came.
        explained_step: on which step that was so.
    """

    states: Counter[State] = field(default_factory=Counter)
    moves: Counter[State] = field(default_factory=Counter)
    still: Fared = field(default_factory=Fared)
    zeros: Fared = field(default_factory=Fared)
    state: State | None = None
    by_hand: bool = False
    at_rate_zero: int = 0
    in_part: bool = False
    leaks: list[Leak] = field(default_factory=list)
    moved_rows: RowSet | None = None
    outside: int = 0
    explanation: Cause | None = None
    explained_step: int | None = None

    @property
    def causes(self) -> Causes | None:
        """What moved it; None where that is not known."""
        return None if self.explanation is None else self.explanation.causes

    @property
    def told(self) -> Fared:
        """The leaks; where there are none, the movements on zeros that came."""
        return self.still if self.still.moved or not self.zeros.moved else self.zeros


@dataclass(slots=True)
class Findings:
    """The records of every parameter under every optimizer; ``steps`` counts each one's steps."""

    records: dict[tuple[int, str], Record] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)
    kept_rows: int = 0

    def record(self, optimizer: int, parameter: str) -> Record:
        """The record of that pair, empty at first."""
        found = self.records.get((optimizer, parameter))
        if found is None:
            found = self.records[optimizer, parameter] = Record()
        return found

    def rename(self, optimizer: int, names: Mapping[str, str]) -> None:
        """Gives the records of that optimizer's parameters, by name, their new names."""
        found = {new: self.records.pop((optimizer, old), None) for old, new in names.items()}
        self.records |= {(optimizer, new): each for new, each in found.items() if each}

    def keep(self, record: Record, leak: Leak) -> None:
        """Keeps a leak if there is room for it, the first of a record always; and its rows."""
        rows = 0 if leak.moved_rows is None else leak.moved_rows.of
        if leak.moved_rows is not None:
            record.moved_rows = leak.moved_rows.joined(record.moved_rows)
        room = len(record.leaks) < KEPT_LEAKS and self.kept_rows + rows <= KEPT_ROWS
        if room or not record.leaks:
            record.leaks.append(leak)
            self.kept_rows += rows

    def leaks(self) -> Iterator[Leak]:
        """The leaks that were kept, parameter by parameter, in the order of their first ones."""
        found = [record for record in self.records.values() if record.still.moved]
        for record in sorted(found, key=lambda record: record.still.first or 0):
            yield from record.leaks
