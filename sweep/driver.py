"""The driver: runs what a sweep still lacks, and hands each outcome to the one writer.

Stands on the grid, the runner and the store, which do not know each other. What is left to
do is the grid minus what is recorded, so running the same sweep again resumes it.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from sweep.errors import DatabaseError, SweepMismatchError
from sweep.grid import Grid
from sweep.optimizers import registry
from sweep.running.runner import Runner
from sweep.store.store import Missing, RecordedSweep, Store
from sweep.store.taking_over import take_over
from sweep.store.writer import Writer
from sweep.values.outcome import Environment, Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Backend, Verdict


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a sweep stands.

    Attributes:
        planned: trials of the whole grid.
        recorded: how many of them were recorded before this run; those that this run
            does again do not count.
        ran: outcomes of this run so far, by verdict; none while workers are starting.
        seconds: how long this run has taken.
        a_second: trials that finish in a second, as of late; None until that can be said.
        extended_from: trials that were planned before, where this run extends the sweep.
        part_of: trials that the recorded sweep has, where this run is of a part of it.
        taken: how many of the recorded ones this run took over from other sweeps.
    """

    planned: int
    recorded: int
    ran: Mapping[Verdict, int]
    seconds: float
    a_second: float | None = None
    extended_from: int | None = None
    part_of: int | None = None
    taken: int = 0

    @property
    def finished(self) -> int:
        """Trials of this run that are finished."""
        return sum(self.ran.values())

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes if it goes on as of late; None until that can be said."""
        left = self.planned - self.recorded - self.finished
        return left / self.a_second if self.a_second else None


Observer = Callable[[Progress], None]

LATELY_S = 15.0
"""How long `Pace` looks back; long enough that a stack of trials, which end at once, is no rush."""


def run_sweep(
    store: Store,
    grid: Grid,
    runner: Runner,
    *,
    retry_failed: bool = False,
    observe: Observer = lambda _: None,
) -> Progress:
    """Runs what the sweep of ``grid``'s name lacks and returns where it then stands.

    What other sweeps of the database have run in this environment is taken over and not trained
    again. Commits as it goes. ``observe`` is called at the start and after each outcome. A trial
    that fails is recorded as failed; with ``retry_failed`` those of earlier runs are run
    again; where the grid is traced, those without steps are, too. Raises SweepMismatchError
    for a recorded sweep of that name which is neither part of this grid nor contains it, or
    whose trials ran on another device, and DatabaseError where the database fails; what was
    finished by then, or by an interruption, is kept.
    """
    started = time.monotonic()
    sweep, before = claim(store, grid, runner.device)
    asked = partial(
        store.missing, sweep.id, grid, retry_failed=retry_failed, traced=grid.spec.trace
    )
    with store.running(sweep.id):
        missing = asked()
        taken = _taken_over(store, sweep, missing, runner, traced=grid.spec.trace)
        missing = asked() if taken else missing
        whole = sweep.planned if sweep.planned > grid.size else None
        seconds = time.monotonic() - started
        progress = Progress(grid.size, missing.recorded, {}, seconds, None, before, whole, taken)
        observe(progress)
        done = run_trials(store, sweep, missing, runner, progress, observe)
        if done.finished:
            _check_kept(store, sweep, done.recorded + done.finished)
        return done


def _taken_over(
    store: Store, sweep: RecordedSweep, missing: Missing, runner: Runner, *, traced: bool
) -> int:
    """How many of the missing trials another sweep has run in the environment that they would."""
    if runner.run_trial is not None or runner.backend is Backend.DASK:
        return 0  # what is run, or where, is not known here

    def here() -> Environment:
        from sweep.trial.machine import environment  # imports torch: only where it may be worth it

        return environment(runner.device)

    return take_over(store, sweep.id, missing, here, registry.package_of, traced=traced)


def run_trials(
    store: Store,
    sweep: RecordedSweep,
    trials: Iterable[PlannedTrial],
    runner: Runner,
    progress: Progress,
    observe: Observer,
    *,
    kept: Callable[[Outcome], Outcome] = lambda outcome: outcome,
) -> Progress:
    """Runs ``trials``, from ``progress`` on, and returns where the sweep then stands.

    Of each outcome, as it finishes, what ``kept`` makes of it is committed, and ``observe`` is
    called. Raises as `run_sweep` does.
    """
    started = time.monotonic() - progress.seconds
    ran, pace = Counter(progress.ran), Pace()

    def now() -> Progress:
        seconds = time.monotonic() - started
        return replace(progress, ran=dict(ran), seconds=seconds, a_second=pace.a_second(seconds))

    rest = iter(trials)
    if (first := next(rest, None)) is None:
        return now()
    outcomes = runner.run(chain([first], rest))
    with Writer(store, sweep.id) as writer, closing(outcomes):
        for outcome in outcomes:
            writer.put(kept(outcome))
            ran[outcome.verdict] += 1
            pace.note(time.monotonic() - started, ran.total())
            observe(now())
    return now()


def _check_kept(store: Store, sweep: RecordedSweep, trials: int) -> None:
    """Raises DatabaseError where fewer than so many are there by now, whoever took them away."""
    lost = trials - store.tally(sweep.id).total()
    if lost > 0:
        raise DatabaseError(
            f"{lost:,} trials of {sweep.name!r} that were recorded are no longer in "
            f"{store.shown}: somebody restored or changed it during this run. Give the same "
            f"command again to run them.",
            url=store.shown,
        )


class Pace:
    """Trials a second, as of late, by when they finish: what is left is judged by that.

    >>> pace = Pace()
    >>> for second in range(1, 11):
    ...     pace.note(float(second), 4 * second)
    >>> pace.a_second(10.0)
    4.0
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, seconds: float, finished: int) -> None:
        """Takes note that by then so many had finished."""
        if self._seen and seconds - self._seen[-1][0] < LATELY_S / 100:
            seconds = self._seen.pop()[0]  # of so many moments, the later count
        self._seen.append((seconds, finished))
        while len(self._seen) > 2 and self._seen[1][0] < seconds - LATELY_S:
            self._seen.popleft()

    def a_second(self, seconds: float) -> float | None:
        """Trials a second up to then, over the last while; None where it cannot be said yet."""
        if len(self._seen) < 2:
            return None
        since, before = self._seen[0]
        return (self._seen[-1][1] - before) / max(seconds - since, 1e-9)


def claim(store: Store, grid: Grid, device: str) -> tuple[RecordedSweep, int | None]:
    """The recorded sweep of ``grid``'s name, new or extended to it, and its size if extended.

    A grid that is part of the recorded one leaves it as it is. Raises SweepMismatchError if
    neither contains the other, or if there are trials of another device than ``device``.
    """
    name, spec = grid.spec.name, grid.canonical()
    while True:
        recorded = store.sweep(name)
        if recorded is not None:
            _check_device(store, recorded, device)
            if recorded.spec == spec or _is_as_it_was(grid, recorded):
                return recorded, None
        old, before = (None, 0) if recorded is None else (recorded.spec, recorded.planned)
        claimed = store.exchange_spec(name, old, spec, grid.size)
        if claimed is not None:  # and no other driver was here in between
            return claimed, before if 0 < before < claimed.planned else None


def _is_as_it_was(grid: Grid, recorded: RecordedSweep) -> bool:
    """Whether the recorded sweep need not change; raises SweepMismatchError where it cannot."""
    difference = grid.difference(recorded.spec)
    is_part = grid.is_part_of(recorded.spec)
    if difference is not None and not is_part:
        raise SweepMismatchError(grid.spec.name, difference)
    return is_part and not (difference is None and grid.spec.trace)


def _check_device(store: Store, sweep: RecordedSweep, device: str) -> None:
    for used in store.devices(sweep.id):
        if used.split()[0] != device:
            raise SweepMismatchError(sweep.name, f"its trials ran on {used}, not on {device}")
