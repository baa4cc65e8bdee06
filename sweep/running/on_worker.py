"""What a worker of a cluster does: runs batches of trials, each trial in a process of its own.

The worker itself only waits: it answers its scheduler while a trial trains, survives one that
does not, and may have several threads, each with such a process. A thread keeps its process
from batch to batch of a run, so that there is never more than one for each thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sweep.running.limits import Limits
from sweep.running.pool import Pool, alone
from sweep.running.task import Task
from sweep.trial.groups import Group
from sweep.values.outcome import Outcome

HAND_OVER_S = 0.4
"""How long an outcome waits for the rest of its batch; what is not done then is sent anew."""
STOPPED_RUNS = 1000
"""How many runs that were stopped are remembered; batches of theirs may still be under way."""
STOP_LOOK_S = 0.1


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
    """The outcomes of a batch, how long they took, and what of it is still to be run."""

    outcomes: tuple[Outcome, ...]
    seconds: float
    rest: tuple[Group, ...]


_pools: dict[int, tuple[str, Pool]] = {}
"""For each thread, the run that it works for and the process that it has for that."""
_stopped: deque[str] = deque(maxlen=STOPPED_RUNS)


def run_batch(job: Job, batch: Sequence[Group]) -> BatchOutcomes:
    """The outcomes of the groups of ``batch``, with what there was no time for.

    An outcome that is there waits for others for `HAND_OVER_S` at most. None, and no rest,
    where the run is stopped meanwhile. A trial that ends its process is run once more, and has
    failed if it does so again.
    """
    started = time.monotonic()
    pool, groups = _pool(job), iter(batch)
    outcomes: list[Outcome] = []
    while not _is_over(job, outcomes, started) and pool.hand_out(groups):
        outcomes += pool.arrived(STOP_LOOK_S)
    rest = [*pool.take_back(), *groups]
    suspects, pool.suspects = pool.suspects, []
    if job.run in _stopped:
        return BatchOutcomes((), 0.0, ())
    outcomes += [alone(each.planned, job.task, job.limits) for each in suspects]
    return BatchOutcomes(tuple(outcomes), time.monotonic() - started, tuple(rest))


def stop(run: str) -> None:
    """Stops whatever trials of that run this worker runs."""
    _stopped.append(run)
    for running, pool in list(_pools.values()):
        if running == run:
            pool.interrupt()


def _is_over(job: Job, outcomes: Sequence[Outcome], started: float) -> bool:
    return job.run in _stopped or (bool(outcomes) and time.monotonic() - started >= HAND_OVER_S)


def _pool(job: Job) -> Pool:
    """This thread's for the run; what it had for another run ends."""
    run, pool = _pools.get(threading.get_ident(), ("", None))
    if run != job.run or pool is None:
        if pool is not None:
            pool.close()
        pool = Pool(job.task, job.limits, 1)
        _pools[threading.get_ident()] = job.run, pool
    return pool
