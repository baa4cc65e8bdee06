"""Where trials run: on the cores of this machine, each in a worker process with one thread.

Takes planned trials in, gives outcomes out as they come, and knows nothing of sweeps or
databases. joblib does the work; what is added here is that a worker's death costs no trial
but the one that killed it.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from sweep.outcome import Outcome
from sweep.setting import PlannedTrial
from sweep.words import Backend

RunTrial = Callable[[PlannedTrial], Outcome]


class WorkerDiedError(Exception):
    """The process that ran a trial ended without an answer."""


@dataclass(frozen=True, slots=True)
class Runner:
    """How trials are to be run.

    Attributes:
        jobs: trials at once; at least 1.
        backend: ``loky`` for worker processes; ``threading`` for this very process, where
            trials take turns, because the random generators are the process's own.
        trace: whether each outcome has a row a step.
        device: ``"cpu"`` or ``"cuda"``.
        run_trial: what runs one; None for `sweep.trial.run_trial`. Must pickle.
    """

    jobs: int
    backend: Backend = Backend.LOKY
    trace: bool = False
    device: str = "cpu"
    run_trial: RunTrial | None = None

    def run(self, trials: Iterable[PlannedTrial]) -> Generator[Outcome, None, None]:
        """The outcome of each of ``trials``, in the order in which they finish.

        ``trials`` is read lazily, a few ahead, from any thread. A trial whose worker dies
        is run once more, alone, and becomes a failed outcome if its worker dies again.
        Raises what reading ``trials`` raises, once the trials read by then are finished.
        Closing the iterator stops the workers.
        """
        source = _Source(trials)
        run_trial = self.run_trial or _trial_function(self.trace, self.device)
        if self.backend is Backend.THREADING:
            yield from map(run_trial, source)
        elif self.jobs == 1:  # joblib would run a single job in this very process
            yield from _each_alone(source, run_trial)
        else:
            yield from self._on_all_cores(source, run_trial)
        source.raise_failure()

    def _on_all_cores(self, source: _Source, run_trial: RunTrial) -> Iterator[Outcome]:
        while not source.exhausted:
            try:
                for outcome in _in_workers(source, run_trial, self.jobs):
                    source.settle(outcome)
                    yield outcome
            except BrokenProcessPool:
                yield from _each_alone(source.take_unsettled(), run_trial)


class _Source:
    """The trials to run, and which of those handed out have no outcome yet.

    joblib reads it from threads of its own, where an exception would be lost: it ends
    instead, and keeps the exception for `raise_failure`.
    """

    def __init__(self, trials: Iterable[PlannedTrial]) -> None:
        self._trials = iter(trials)
        self._unsettled: dict[str, PlannedTrial] = {}
        self._failure: BaseException | None = None
        self.exhausted = False

    def __iter__(self) -> Iterator[PlannedTrial]:
        return self

    def __next__(self) -> PlannedTrial:
        try:
            planned = next(self._trials)
        except StopIteration:
            self.exhausted = True
            raise
        except Exception as failure:
            self._failure = failure
            self.exhausted = True
            raise StopIteration from failure
        self._unsettled[planned.fingerprint] = planned
        return planned

    def settle(self, outcome: Outcome) -> None:
        """Notes that a trial has its outcome."""
        self._unsettled.pop(outcome.planned.fingerprint, None)

    def take_unsettled(self) -> list[PlannedTrial]:
        """The trials handed out that have no outcome; from now on they are the caller's."""
        unsettled, self._unsettled = list(self._unsettled.values()), {}
        return unsettled

    def raise_failure(self) -> None:
        """Raises what reading the trials raised, if anything."""
        if self._failure is not None:
            raise self._failure


def _in_workers(source: _Source, run_trial: RunTrial, jobs: int) -> Iterator[Outcome]:
    """The outcomes of a pool of workers. Raises BrokenProcessPool where a worker dies."""
    run = delayed(run_trial)
    with parallel_config("loky", inner_max_num_threads=1, initializer=_leave_signals):
        outcomes = Parallel(jobs, return_as="generator_unordered")(map(run, source))
    try:
        yield from outcomes
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it stops early, as it is told to
            outcomes.close()


def _each_alone(trials: Iterable[PlannedTrial], run_trial: RunTrial) -> Iterator[Outcome]:
    """The outcomes of one worker, replaced where a trial kills it; that trial has failed."""
    worker: ProcessPoolExecutor | None = None
    try:
        for planned in trials:
            worker = worker or ProcessPoolExecutor(1, initializer=_leave_signals)
            try:
                yield worker.submit(run_trial, planned).result()
            except BrokenProcessPool as error:
                worker = None
                yield _died(planned, error)
    finally:
        if worker is not None:
            worker.shutdown(kill_workers=True)


def _trial_function(trace: bool, device: str) -> RunTrial:
    """`run_trial` with its options, imported here so that a driver without trials skips torch."""
    from sweep.trial import run_trial

    return partial(run_trial, trace=trace, device=device)


def _died(planned: PlannedTrial, error: BrokenProcessPool) -> Outcome:
    from sweep.trial import failed

    first_line = str(error).partition("\n")[0]
    return failed(planned, WorkerDiedError(f"its worker process died. {first_line}"), seconds=0.0)


def _leave_signals() -> None:
    """Leaves Ctrl-C, which reaches every process of the terminal, to the driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
