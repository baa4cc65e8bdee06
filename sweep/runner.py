"""Where trials run: on the cores of this machine, each in a worker process with one thread.

Takes planned trials in, gives outcomes out as they come, and knows nothing of sweeps or
databases. joblib does the work; what is added here is that a worker's death costs no trial
but the one that killed it, and that no worker outlives the driver.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool
from joblib.parallel import LokyBackend

from sweep.outcome import Outcome
from sweep.setting import PlannedTrial
from sweep.words import Backend

RunTrial = Callable[[PlannedTrial], Outcome]

ORPHANED_AT_MOST_S = 1.0
"""How long a worker may outlive a driver that was killed."""


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
        run_trial = self.run_trial or partial(_run_trial, trace=self.trace, device=self.device)
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
        yield from _each_alone(source.take_unsettled(), run_trial)


class _Source:
    """The trials to run, and which of those handed out have no outcome yet.

    joblib reads it from threads of its own, which may do so a last time after their pool
    broke, and where an exception would be lost: it ends instead, and keeps the exception for
    `raise_failure`.
    """

    def __init__(self, trials: Iterable[PlannedTrial]) -> None:
        self._trials = iter(trials)
        self._unsettled: dict[str, PlannedTrial] = {}
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self.exhausted = False

    def __iter__(self) -> Iterator[PlannedTrial]:
        return self

    def __next__(self) -> PlannedTrial:
        with self._lock:
            planned = self._read()
            self._unsettled[planned.fingerprint] = planned
        return planned

    def _read(self) -> PlannedTrial:
        if self.exhausted:
            raise StopIteration
        try:
            return next(self._trials)
        except StopIteration:
            self.exhausted = True
            raise
        except Exception as failure:
            self._failure = failure
            self.exhausted = True
            raise StopIteration from failure

    def settle(self, outcome: Outcome) -> None:
        """Notes that a trial has its outcome."""
        with self._lock:
            self._unsettled.pop(outcome.planned.fingerprint, None)

    def take_unsettled(self) -> list[PlannedTrial]:
        """The trials handed out that have no outcome; from now on they are the caller's."""
        with self._lock:
            unsettled, self._unsettled = list(self._unsettled.values()), {}
        return unsettled

    def raise_failure(self) -> None:
        """Raises what reading the trials raised, if anything."""
        if self._failure is not None:
            raise self._failure


class _ShortBatches(LokyBackend):  # type: ignore[misc]  # joblib has no types
    """joblib's worker processes, which hand short trials over at least twice a second.

    What a worker has finished and not handed over is lost when the driver is killed.
    """

    MIN_IDEAL_BATCH_DURATION = 0.1
    MAX_IDEAL_BATCH_DURATION = 0.5


def _in_workers(source: _Source, run_trial: RunTrial, jobs: int) -> Iterator[Outcome]:
    """The outcomes of a pool of workers. Raises BrokenProcessPool where a worker dies."""
    run = delayed(run_trial)
    backend = _ShortBatches(
        inner_max_num_threads=1, initializer=_follow_driver, initargs=(os.getpid(),)
    )
    with parallel_config(backend):
        outcomes = Parallel(jobs, return_as="generator_unordered")(map(run, source))
    try:
        for outcome in outcomes:  # noqa: UP028  # closing must reach the lines below first
            yield outcome
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it stops early, as it is told to
            outcomes.close()


def _each_alone(trials: Iterable[PlannedTrial], run_trial: RunTrial) -> Iterator[Outcome]:
    """The outcomes of one worker, replaced where a trial kills it; that trial has failed."""
    worker: ProcessPoolExecutor | None = None
    try:
        for planned in trials:
            worker = worker or ProcessPoolExecutor(
                1, initializer=_follow_driver, initargs=(os.getpid(),)
            )
            try:
                yield worker.submit(run_trial, planned).result()
            except BrokenProcessPool as error:
                worker = None
                yield _died(planned, error)
    finally:
        if worker is not None:
            worker.shutdown(kill_workers=True)


def _run_trial(planned: PlannedTrial, *, trace: bool, device: str) -> Outcome:
    """`sweep.trial.run_trial`, imported where it runs: the driver goes without torch."""
    from sweep.trial import run_trial

    return run_trial(planned, trace=trace, device=device)


def _died(planned: PlannedTrial, error: BrokenProcessPool) -> Outcome:
    from sweep.trial import failed

    exit_code = re.search(r"\{(.+)\}", str(error))  # such as {SIGKILL(-9)}
    how = f" with {exit_code[1]}" if exit_code else ""
    reason = f"the process that ran it ended{how}: memory ran out, or native code crashed"
    return failed(planned, WorkerDiedError(reason), seconds=0.0)


def _follow_driver(driver: int) -> None:
    """Leaves it to the process ``driver`` to be interrupted, and ends soon after it does.

    Ctrl-C reaches every process of a terminal, and SIGTERM every one of a service.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()


def _end_with(driver: int) -> None:
    """Ends this process when it is no longer ``driver``'s child: no one wants its outcome."""
    while os.getppid() == driver:
        time.sleep(ORPHANED_AT_MOST_S)
    os._exit(1)
