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
from sweep.errors import MisuseError, NotThereError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.grid.spec_file import with_overrides
from sweep.running.runner import Runner
from sweep.searching.ranges import UNASKED, Range
from sweep.searching.search import KIND, claim
from sweep.searching.study import recorded_rows
from sweep.store.store import Store
from sweep.store.writer import Writer
from sweep.values.setting import PlannedTrial, canonical_json
from sweep.values.words import Verdict

POINTS = 13
"""Values of the first, even sampling; changes that are nearer to each other may be missed."""
TOLERANCE = 1e-6
"""How far apart the two sides of a change may be in the end, as a part of the larger one."""
MOST_LINES = 1000

Row = Mapping[str, Any]
"""What a trial showed: ``fingerprint``, ``verdict``, ``total_drift``."""


def check_axis(axis: str) -> None:
    """Raises MisuseError for an axis along which no edge can be looked for."""
    if axis not in UNASKED:
        raise MisuseError(f"--edge {axis}: a verdict's edge is along {', '.join(UNASKED)}.")


@dataclass(frozen=True, slots=True)
class EdgeSearch:
    """What is looked for: where along ``along`` the verdicts of the settings of ``spec`` change.

    It is to `sweep.searching.search.claim` what a search is.
    """

    spec: Spec
    along: Range

    def canonical(self) -> str:
        """The sweep's spec, as the database records it: the grid's, and how it is searched."""
        grid = json.loads(Grid(self.spec).canonical())
        searched = {"edge": str(self.along), "points": POINTS, "tolerance": TOLERANCE}
        return canonical_json(grid | {"kind": KIND, KIND: searched})

    def lines(self) -> list[PlannedTrial]:
        """One trial of each line, at the range's low end.

        Raises MisuseError for an axis that is no number of the optimizer's, and for more lines
        than `MOST_LINES`.
        """
        axis = self.along.name
        check_axis(axis)
        grid = Grid(with_overrides(self.spec, set=[f"{axis}={self.along.low!r}"]))
        if grid.size > MOST_LINES:
            raise MisuseError(
                f"--edge looks along one axis for each of {grid.size:,} settings; at most "
                f"{MOST_LINES:,} will do. Take fewer by --set, such as --set optimizer=SGD."
            )
        lines = list(grid)
        without = sorted({p.setting.optimizer for p in lines if getattr(p.setting, axis) is None})
        if without:
            raise MisuseError(f"--edge {axis}: {', '.join(without)} has no {axis}.")
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
        low, high, last = self.along.low, self.along.high, POINTS - 1
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
class Found:
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
) -> Found:
    """Runs what is not recorded yet, round by round; commits as it goes.

    Raises MisuseError as `EdgeSearch.lines` and `claim` do, and what `Store` raises; what was
    finished by then, or by an interruption, is kept.
    """
    lines = search.lines()
    sweep = claim(store, search)
    known: dict[str, Row] = {row["fingerprint"]: row for row in _recorded(url, sweep.name)}
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
    return Found(progress, edges, tuple(point for line in shown for point in line), len(lines))


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
            and high - low > TOLERANCE * high
            and (half := search.middle(low, high)) > low
        ]
        if not new:
            return found
        found = sorted([*found, *new])


def _edges(line: Sequence[tuple[PlannedTrial, Row]]) -> Iterator[Edge]:
    for (below, one), (above, other) in pairwise(line):
        if one["verdict"] != other["verdict"]:
            yield Edge(below, above, one, other)


def _recorded(url: str, name: str) -> list[dict[str, Any]]:
    try:
        return recorded_rows(url, name)
    except NotThereError:
        return []


def _row(outcome: Any) -> Row:
    drift = None if outcome.measurement is None else outcome.measurement.total_drift
    return {
        "fingerprint": outcome.planned.fingerprint,
        "verdict": outcome.verdict.value,
        "total_drift": drift,
    }
