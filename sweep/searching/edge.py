"""Where along a number of the setting the verdict changes: sampled evenly, then halved.

Each setting of a grid, with each of its seeds, is a line along the axis. All lines are halved
at once, a round of trials at a time, until the two sides of every change are next to each
other. The trials are those of a sweep whose spec says so; what is recorded is not run again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from sweep.driver import Progress, run_trials
from sweep.errors import MisuseError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.grid.spec_file import with_overrides
from sweep.running.runner import Runner
from sweep.searching.claims import claim_search
from sweep.searching.ranges import UNASKED, Range, range_text
from sweep.searching.study import rows_so_far
from sweep.store.store import Store
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial

POINTS = 13
TOLERANCE = 1e-6
MOST_LINES = 1000
MOST_FIRST_POINTS = 1000


def check_axis(axis: str) -> None:
    """Raises MisuseError for an axis along which no edge can be looked for."""
    if axis not in UNASKED:
        raise MisuseError(f"A verdict's edge is along {', '.join(UNASKED)}; {axis!r} came.")


@dataclass(frozen=True, slots=True)
class EdgeSearch:
    """What is looked for: where along ``axis`` the verdicts of the settings of ``spec`` change.

    Attributes:
        along: from where to where.
        points: values of the first, even sampling; changes that are nearer to each other than
            these may be missed.
        tolerance: how far apart the two sides of a change may be in the end, as a part of the
            larger one.

    Raises MisuseError for fewer points than 2 or more than `MOST_FIRST_POINTS`, and for a tolerance
    that is not between 0 and 1.
    """

    spec: Spec
    axis: str
    along: Range
    points: int = POINTS
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        check_axis(self.axis)
        if not 2 <= self.points <= MOST_FIRST_POINTS:
            raise MisuseError(
                f"--points takes whole numbers from 2 to {MOST_FIRST_POINTS:,}; {self.points} came."
            )
        if not 0 < self.tolerance < 1:
            raise MisuseError(
                f"--tolerance is a part of the value, between 0 and 1, such as {TOLERANCE:g}; "
                f"{self.tolerance:g} came."
            )

    def how(self) -> dict[str, Any]:
        """How the grid is searched, as the sweep's spec says it."""
        return {
            "edge": range_text(self.axis, self.along),
            "points": self.points,
            "tolerance": self.tolerance,
        }

    def lines(self) -> list[PlannedTrial]:
        """One trial of each line, at the range's low end.

        Raises MisuseError for an axis that is no number of the optimizer's, and for more lines
        than `MOST_LINES`.
        """
        axis = self.axis
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

    def sampled(self, line: PlannedTrial) -> list[PlannedTrial]:
        """The first trials of ``line``, those at both ends among them."""
        low, high, last = self.along.low, self.along.high, self.points - 1
        if self.along.log:
            inner = [low * (high / low) ** (i / last) for i in range(1, last)]
        else:
            inner = [low + (high - low) * i / last for i in range(1, last)]
        return [self._at(line, value) for value in (low, *inner, high)]

    def between(self, below: PlannedTrial, above: PlannedTrial) -> list[PlannedTrial]:
        """The trial half-way, by logarithms where the range is; none where they are near enough."""
        low, high = (getattr(trial.setting, self.axis) for trial in (below, above))
        half = math.sqrt(low) * math.sqrt(high) if self.along.log else low + (high - low) / 2
        near = high - low <= self.tolerance * high
        return [] if near or not low < half < high else [self._at(below, half)]

    def _at(self, line: PlannedTrial, value: float) -> PlannedTrial:
        changed: dict[str, Any] = {self.axis: value}
        return replace(line, setting=replace(line.setting, **changed))


def find_edges(
    store: Store,
    url: str,
    search: EdgeSearch,
    runner: Runner,
    *,
    observe: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Runs what is not recorded yet, round by round, and returns where the sweep then stands.

    Commits as it goes. Raises MisuseError as `EdgeSearch.lines` and `claim_search` do, and what
    `Store` raises; what was finished by then, or by an interruption, is kept.
    """
    lines = [search.sampled(line) for line in search.lines()]
    sweep = claim_search(store, search.spec, search.how())
    known = {row["fingerprint"]: row["verdict"] for row in rows_so_far(url, sweep.name)}
    progress, started = Progress(len(known), len(known), {}, 0.0), time.monotonic()

    def kept(outcome: Outcome) -> Outcome:
        known[outcome.planned.fingerprint] = outcome.verdict
        return outcome

    while True:
        lines = [_halved(search, line, known) for line in lines]
        missing = [each for line in lines for each in line if each.fingerprint not in known]
        if not missing:
            return replace(progress, seconds=time.monotonic() - started)
        planned = len(known) + len(missing)
        store.record_sweep(sweep.name, sweep.spec, planned)
        begun = replace(progress, planned=planned, seconds=time.monotonic() - started)
        progress = run_trials(store, sweep, missing, runner, begun, observe, kept=kept)


def _halved(
    search: EdgeSearch, line: list[PlannedTrial], known: Mapping[str, str]
) -> list[PlannedTrial]:
    """``line`` with trials in between where the verdict changes, until one is not known.

    What is known is gone through at once, so that a search that is run again runs nothing.
    """
    while all(trial.fingerprint in known for trial in line):
        finer = line[:1]
        for below, above in pairwise(line):
            if known[below.fingerprint] != known[above.fingerprint]:
                finer += search.between(below, above)
            finer.append(above)
        if len(finer) == len(line):
            break
        line = finer
    return line
