"""What a worker of a cluster does: runs batches of trials, each trial in a shelter.

The worker's own process only waits: it answers its scheduler while a trial trains, survives
one that does not, and may have several threads, each with a shelter of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from sweep.limits import Limits
from sweep.outcome import Outcome
from sweep.running.shelter import Shelter
from sweep.running.task import Task, WorkerDiedError
from sweep.setting import PlannedTrial


@dataclass(frozen=True, slots=True)
class Job:
    """What all batches of one run have in common.

    Attributes:
        run: the run's name, unlike any other's.
        task: what to do with each trial.
        limits: what one trial may take.
    """

    run: str
    task: Task
    limits: Limits


@dataclass(frozen=True, slots=True)
class BatchOutcomes:
    """The outcomes of a batch and how long it took."""

    outcomes: tuple[Outcome, ...]
    seconds: float


@dataclass(slots=True)
class _Run:
    """One run as this worker knows it: the shelter of each thread, and whether it is over."""

    shelters: dict[int, Shelter] = field(default_factory=dict)
    stopped: bool = False


_runs: dict[str, _Run] = {}


def run_batch(job: Job, trials: Sequence[PlannedTrial]) -> BatchOutcomes:
    """The outcome of each of ``trials``, in order; fewer where the run is stopped meanwhile.

    A trial that ends its process is run once more, and has failed if it does so again.
    """
    started = time.perf_counter()
    run = _runs.setdefault(job.run, _Run())
    shelter = run.shelters.setdefault(threading.get_ident(), Shelter(job.task, job.limits))
    outcomes = []
    for planned in trials:
        outcome = _outcome(job.task, run, shelter, planned)
        if outcome is None:
            break
        outcomes.append(outcome)
    return BatchOutcomes(tuple(outcomes), time.perf_counter() - started)


def stop(run: str) -> None:
    """Stops whatever trials of that run this worker runs, and lets go of their processes."""
    known = _runs.setdefault(run, _Run())
    known.stopped = True
    for shelter in list(known.shelters.values()):
        shelter.interrupt()


def _outcome(task: Task, run: _Run, shelter: Shelter, planned: PlannedTrial) -> Outcome | None:
    """The outcome of one trial; None where the run was stopped."""
    for attempts_left in (1, 0):
        if run.stopped:
            return None
        try:
            return shelter.run(planned)
        except WorkerDiedError as error:
            if not attempts_left and not run.stopped:
                return task.failed(planned, error)
    return None
