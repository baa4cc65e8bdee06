"""What a worker of a cluster does: runs batches of trials, each trial in a process of its own.

The worker itself only waits: it answers its scheduler while a trial trains, survives one that
does not, and may have several threads, each with such a process. A thread keeps its process
from batch to batch of a run, so that there is never more than one for each thread.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

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
class BatchOutcomes:
    """The outcomes of a batch, how long they took, and what of it is still to be run."""

    outcomes: tuple[Outcome, ...]
    seconds: float
    rest: tuple[Group, ...]


_pools: dict[int, tuple[str, Pool]] = {}
"""For each thread, the run that it works for and the process that it has for that."""
_stopped: deque[str] = deque(maxlen=STOPPED_RUNS)


def dask_setup(_worker: object) -> None:
    """Has a worker on the driver's machine leave to it what reaches all processes of a terminal.

    Dask calls it in each that it starts there, those that replace others included.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def run_batch(run: str, task: Task, batch: Sequence[Group]) -> BatchOutcomes:
    """The outcomes of the groups of ``batch``, with what there was no time for.

    ``run`` is the name of a driver's run, unlike any other's. An outcome that is there waits for
    others for `HAND_OVER_S` at most. None, and no rest, where the run is stopped meanwhile. A
    trial that ends its process is run once more, and has failed if it does so again.
    """
    started = time.monotonic()
    pool, groups = _pool(run, task), iter(batch)
    outcomes: list[Outcome] = []
    while not _is_over(run, outcomes, started) and pool.hand_out(groups):
        outcomes += pool.arrived(STOP_LOOK_S)
    rest = [*pool.take_back(), *groups]
    suspects, pool.suspects = pool.suspects, []
    if run in _stopped:
        return BatchOutcomes((), 0.0, ())
    outcomes += [alone(each.planned, task) for each in suspects]
    return BatchOutcomes(tuple(outcomes), time.monotonic() - started, tuple(rest))


def stop(run: str) -> None:
    """Stops whatever trials of that run this worker runs."""
    _stopped.append(run)
    for running, pool in list(_pools.values()):
        if running == run:
            pool.interrupt()


def _is_over(run: str, outcomes: Sequence[Outcome], started: float) -> bool:
    return run in _stopped or (bool(outcomes) and time.monotonic() - started >= HAND_OVER_S)


def _pool(run: str, task: Task) -> Pool:
    """This thread's for the run; what it had for another run ends."""
    before, pool = _pools.get(threading.get_ident(), ("", None))
    if before != run or pool is None:
        if pool is not None:
            pool.close()
        pool = Pool(task, 1)
        _pools[threading.get_ident()] = run, pool
    return pool
