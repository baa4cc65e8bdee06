"""The driver: runs what a sweep still lacks, and hands each outcome to the one writer.

Stands on the grid, the runner and the store, which do not know each other. What is left to
do is the grid minus what is recorded, so running the same sweep again resumes it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

from sweep.errors import SweepMismatchError
from sweep.grid import Grid
from sweep.running.runner import Runner
from sweep.store.store import RecordedSweep, Store
from sweep.store.writer import Writer
from sweep.values.words import Verdict


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a sweep stands.

    Attributes:
        planned: trials of the whole grid.
        recorded: how many of them were recorded before this run; those that this run
            does again do not count.
        ran: outcomes of this run so far, by verdict.
        seconds: how long this run has taken.
    """

    planned: int
    recorded: int
    ran: Mapping[Verdict, int]
    seconds: float

    @property
    def finished(self) -> int:
        """Trials of this run that are finished."""
        return sum(self.ran.values())


Observer = Callable[[Progress], None]


def run_sweep(
    store: Store,
    grid: Grid,
    runner: Runner,
    *,
    retry_failed: bool = False,
    observe: Observer = lambda _: None,
) -> Progress:
    """Runs what the sweep of ``grid``'s name lacks and returns where it then stands.

    Commits as it goes. ``observe`` is called at the start and after each outcome. A trial
    that fails is recorded as failed; with ``retry_failed`` those of earlier runs are run
    again. Raises SweepMismatchError for a recorded sweep of that name whose grid is not
    contained in this one, and DatabaseError where the database fails; what was finished by
    then, or by an interruption, is kept.
    """
    sweep = claim(store, grid)
    started = time.monotonic()
    ran: Counter[Verdict] = Counter()
    recorded = _recorded(store, sweep, retry_failed)

    def progress() -> Progress:
        return Progress(grid.size, recorded, ran, time.monotonic() - started)

    observe(progress())
    if recorded < grid.size:
        missing = store.missing(sweep.id, grid, retry_failed=retry_failed)
        with Writer(store, sweep.id) as writer, closing(runner.run(missing)) as outcomes:
            for outcome in outcomes:
                writer.put(outcome)
                ran[outcome.verdict] += 1
                observe(progress())
    return progress()


def claim(store: Store, grid: Grid) -> RecordedSweep:
    """The recorded sweep of ``grid``'s name, new or extended to it.

    Raises SweepMismatchError if the recorded grid is not contained in this one.
    """
    name, spec = grid.spec.name, grid.canonical()
    recorded = store.sweep(name)
    if recorded is not None and recorded.spec == spec:
        return recorded
    if recorded is not None:
        difference = grid.difference(recorded.spec)
        if difference is not None:
            raise SweepMismatchError(name, difference)
    return store.record_sweep(name, spec, grid.size)


def _recorded(store: Store, sweep: RecordedSweep, retry_failed: bool) -> int:
    tally = store.tally(sweep.id)
    return tally.total() - (tally[Verdict.FAILED] if retry_failed else 0)
