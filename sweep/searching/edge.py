"""Where along a number of the setting the verdict changes: sampled evenly, then halved.

Each setting of a grid, with each of its seeds, is a line along the axis. All lines are halved
at once, a round of trials at a time, until the two sides of every change are next to each
other. The trials are those of a sweep whose spec says so; what is recorded is not run again.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from sweep.driver import Progress
from sweep.errors import MisuseError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.grid.spec_file import with_overrides
from sweep.running.runner import Runner
from sweep.searching.ranges import UNASKED, Range
from sweep.searching.search import KIND, claim_search
from sweep.searching.study import rows_so_far
from sweep.store.store import Store
from sweep.store.writer import Writer
from sweep.values.setting import PlannedTrial, canonical_json
from sweep.values.words import Verdict

POINTS = 13
TOLERANCE = 1e-6
MOST_LINES = 1000
MOST_FIRST_POINTS = 1000

Row = Mapping[str, Any]
"""What a trial showed: ``fingerprint``, ``verdict``, ``total_drift``."""


def check_axis(axis: str) -> None:
    """Raises MisuseError for an axis along which no edge can be looked for."""
    if axis not in UNASKED:
        raise MisuseError(f"A verdict's edge is along {', '.join(UNASKED)}; {axis!r} came.")


@dataclass(frozen=True, slots=True)
class EdgeSearch:
    """What is looked for: where along ``along`` the verdicts of the settings of ``spec`` change.

    It is to `sweep.searching.search.claim_search` what a search is.

    Attributes:
        points: values of the first, even sampling; changes that are nearer to each other than
            these may be missed.
        tolerance: how far apart the two sides of a change may be in the end, as a part of the
            larger one.

    Raises MisuseError for fewer points than 2 or more than `MOST_FIRST_POINTS`, and for a tolerance
    that is not between 0 and 1.
    """

    spec: Spec
    along: Range
    points: int = POINTS
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        check_axis(self.along.name)
        if not 2 <= self.points <= MOST_FIRST_POINTS:
            raise MisuseError(
                f"--points takes whole numbers from 2 to {MOST_FIRST_POINTS:,}; {self.points} came."
            )
        if not 0 < self.tolerance < 1:
            raise MisuseError(
                f"--tolerance is a part of the value, between 0 and 1, such as {TOLERANCE:g}; "
                f"{self.tolerance:g} came."
            )

    def canonical(self) -> str:
        """The sweep's spec, as the database records it: the grid's, and how it is searched."""
        grid = json.loads(Grid(self.spec).canonical())
        searched = {
            "edge": str(self.along),
            "points": self.points,
            "tolerance": self.tolerance,
        }
        return canonical_json(grid | {"kind": KIND, KIND: searched})

    def lines(self) -> list[PlannedTrial]:
        """One trial of each line, at the range's low end.

        Raises MisuseError for an axis that is no number of the optimizer's, and for more lines
        than `MOST_LINES`.
        """
        axis = self.along.name
        grid = Grid(with_overrides(self.spec, set=[f"{axis}={self.along.low!r}"]))
        if grid.size > MOST_LINES:
            raise MisuseError(
                f"An edge is looked for along one axis for each of {grid.size:,} settings; at "
                f"most {MOST_LINES:,} will do. Take fewer by --set, such as --set optimizer=SGD."
            )
        lines = list(grid)
        without = sorted({p.setting.optimizer for p in lines if getattr(p.setting, axis) is None})
        if without:
            raise MisuseError(
                f"There is no {axis} in the settings of {', '.join(without)}. Choose others with "
                f"--set optimizer=..."
            )
        return lines

    def at(self, line: PlannedTrial, value: float) -> PlannedTrial:
        """The trial of ``line`` at ``value``."""
        changed: dict[str, Any] = {self.along.name: value}
        return replace(line, setting=replace(line.setting, **changed))

    def middle(self, low: float, high: float) -> float:
        """The value half-way, by logarithms where the range is; ``low`` if there is none."""
        half = math.sqrt(low) * math.sqrt(high) if self.along.log else low + (high - low) / 2
        return half if low < half < high else low

    def samples(self) -> list[float]:
        """The first values, both ends among them."""
        low, high, last = self.along.low, self.along.high, self.points - 1
        if self.along.log:
            inner = [low * (high / low) ** (i / last) for i in range(1, last)]
        else:
            inner = [low + (high - low) * i / last for i in range(1, last)]
        return [low, *inner, high]


@dataclass(frozen=True, slots=True)
class Edge:
    """A change of verdict: the two trials nearest to it, and what they showed."""

    below: PlannedTrial
    above: PlannedTrial
    row_below: Row
    row_above: Row


@dataclass(frozen=True, slots=True)
class EdgesFound:
    """What an edge search came to.

    Attributes:
        progress: where the sweep stands.
        edges: every change of verdict, line by line, from low to high.
        points: every trial with what it showed, likewise.
        lines: how many lines there were.
    """

    progress: Progress
    edges: tuple[Edge, ...]
    points: tuple[tuple[PlannedTrial, Row], ...]
    lines: int


def find_edges(
    store: Store,
    url: str,
    search: EdgeSearch,
    runner: Runner,
    *,
    observe: Callable[[Progress], None] = lambda _: None,
) -> EdgesFound:
    """Runs what is not recorded yet, round by round; commits as it goes.

    Raises MisuseError as `EdgeSearch.lines` and `claim_search` do, and what `Store` raises;
    what was finished by then, or by an interruption, is kept.
    """
    lines = search.lines()
    sweep = claim_search(store, search)
    known: dict[str, Row] = {row["fingerprint"]: row for row in rows_so_far(url, sweep.name)}
    there, ran, started = len(known), Counter[Verdict](), time.monotonic()
    tried = [search.samples() for _ in lines]
    while True:
        pairs = list(zip(lines, tried, strict=True))
        tried = [_halved(search, line, values, known) for line, values in pairs]
        missing = list(_missing(search, zip(lines, tried, strict=True), known))
        if not missing:
            break
        planned = len(known) + len(missing)
        store.record_sweep(sweep.name, sweep.spec, planned)
        with Writer(store, sweep.id) as writer, closing(runner.run(missing)) as outcomes:
            for outcome in outcomes:
                writer.put(outcome)
                ran[outcome.verdict] += 1
                known[outcome.planned.fingerprint] = _row(outcome)
                observe(Progress(planned, there, ran, time.monotonic() - started))
    progress = Progress(len(known), there, ran, time.monotonic() - started)
    shown = [
        [(trial, known[trial.fingerprint]) for trial in (search.at(line, v) for v in values)]
        for line, values in zip(lines, tried, strict=True)
    ]
    edges = tuple(edge for line in shown for edge in _edges(line))
    return EdgesFound(progress, edges, tuple(point for line in shown for point in line), len(lines))


def _missing(
    search: EdgeSearch, tried: Iterable[tuple[PlannedTrial, list[float]]], known: Mapping[str, Row]
) -> Iterator[PlannedTrial]:
    for line, values in tried:
        for value in values:
            planned = search.at(line, value)
            if planned.fingerprint not in known:
                yield planned


def _halved(
    search: EdgeSearch, line: PlannedTrial, values: Sequence[float], known: Mapping[str, Row]
) -> list[float]:
    """``values`` with those in between where the verdict changes, until they are all known.

    What is known is gone through at once, so that a search that is run again runs nothing.
    """
    found = list(values)
    while True:
        prints = [search.at(line, value).fingerprint for value in found]
        if not all(each in known for each in prints):
            return found
        verdicts = [known[each]["verdict"] for each in prints]
        new = [
            half
            for (low, one), (high, other) in pairwise(zip(found, verdicts, strict=True))
            if one != other
            and high - low > search.tolerance * high
            and (half := search.middle(low, high)) > low
        ]
        if not new:
            return found
        found = sorted([*found, *new])


def _edges(line: Sequence[tuple[PlannedTrial, Row]]) -> Iterator[Edge]:
    for (below, one), (above, other) in pairwise(line):
        if one["verdict"] != other["verdict"]:
            yield Edge(below, above, one, other)


def _row(outcome: Any) -> Row:
    drift = None if outcome.measurement is None else outcome.measurement.total_drift
    return {
        "fingerprint": outcome.planned.fingerprint,
        "verdict": outcome.verdict.value,
        "total_drift": drift,
    }
