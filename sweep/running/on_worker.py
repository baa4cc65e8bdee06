"""What a worker of a cluster does: runs batches of trials, each trial in a shelter.

The worker's own process only waits: it answers its scheduler while a trial trains, survives
one that does not, and may have several threads, each with a shelter of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from sweep.running.limits import Limits
from sweep.running.shelter import Shelter
from sweep.running.task import Task, WorkerDiedError
from sweep.trial.groups import Group
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial


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


def run_batch(job: Job, batch: Sequence[Group]) -> BatchOutcomes:
    """The outcomes of the groups of ``batch``, in order; fewer where the run is stopped meanwhile.

    A trial that ends its process is run once more, and has failed if it does so again.
    """
    started = time.perf_counter()
    run = _runs.setdefault(job.run, _Run())
    shelter = run.shelters.setdefault(threading.get_ident(), Shelter(job.task, job.limits))
    outcomes: list[Outcome] = []
    for group in batch:
        outcomes += _outcomes(job.task, run, shelter, group)
    return BatchOutcomes(tuple(outcomes), time.perf_counter() - started)


def stop(run: str) -> None:
    """Stops whatever trials of that run this worker runs, and lets go of their processes."""
    known = _runs.setdefault(run, _Run())
    known.stopped = True
    for shelter in list(known.shelters.values()):
        shelter.interrupt()


def _outcomes(task: Task, run: _Run, shelter: Shelter, group: Group) -> list[Outcome]:
    """The outcomes of ``group``; fewer where the run is stopped meanwhile."""
    if run.stopped:
        return []
    try:
        return shelter.run(group)
    except WorkerDiedError:
        return [each for planned in group for each in _again(task, run, shelter, planned)]


def _again(task: Task, run: _Run, shelter: Shelter, planned: PlannedTrial) -> list[Outcome]:
    """The outcome of a trial that was there when its process died; none where the run stopped."""
    if run.stopped:
        return []
    try:
        return shelter.run((planned,))
    except WorkerDiedError as error:
        return [] if run.stopped else [task.failed(planned, error)]
