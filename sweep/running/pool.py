"""The engine: trials in worker processes of this machine, each outcome as soon as it is there.

A worker that runs short trials has a few ahead, so that it need not wait for the next; what
is ahead of a worker that dies, or waits while others have nothing to do, goes to others. So a
worker's death concerns the trial that it ran: that one is run once more, when nothing else
is, since others may have taken the memory that it lacked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from multiprocessing.connection import wait

from sweep.errors import SystemLimitError
from sweep.running.serving import Failure
from sweep.running.task import Task, WorkerDiedError
from sweep.running.worker import Worker
from sweep.trial.groups import Group
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial

Order = Group | Failure

LIMITS_LOOK_S = 0.05
"""How often time and memory are looked at, and so by how much a trial may pass its limits."""


def in_workers(trials: Iterable[PlannedTrial], task: Task, jobs: int) -> Iterator[Outcome]:
    """The outcome of each of ``trials``, ``jobs`` at once, in the order they finish.

    A trial over its limits is stopped, and has failed; one whose worker died twice has, too.
    Raises SystemLimitError where there can be no workers. Closing the iterator kills them.
    """
    with closing(Pool(task, jobs)) as pool:
        yield from pool.outcomes(task.groups(trials))
    for suspect in pool.suspects:
        yield alone(suspect.planned, task)


def alone(planned: PlannedTrial, task: Task) -> Outcome:
    """The outcome of a trial that nothing else runs beside."""
    with closing(Pool(task, 1)) as pool:
        for outcome in pool.outcomes(iter([(planned,)])):
            return outcome
        for outcome in pool.outcomes(iter(pool.suspects[:])):
            return outcome
    raise SystemLimitError("process for trials", pool.suspects[-1].error)


class Pool:
    """Up to ``jobs`` workers, until `close`.

    Attributes:
        suspects: trials that were running when their workers died, as the failures that they
            may be.
    """

    def __init__(self, task: Task, jobs: int) -> None:
        self._task = task
        self._jobs = jobs
        self._workers: list[Worker] = []
        self._again: deque[Order] = deque()
        self.suspects: list[Failure] = []

    def close(self) -> None:
        """Kills the workers."""
        for worker in self._workers:
            worker.kill()

    def outcomes(self, orders: Iterator[Order]) -> Iterator[Outcome]:
        """The outcome of each trial that is ordered, but for the suspects.

        Reads ``orders`` when a worker can take one. Raises what kept a worker from its task.
        """
        while self.hand_out(orders):
            yield from self.arrived()

    def hand_out(self, orders: Iterator[Order]) -> bool:
        """Gives workers what they can take of ``orders``; whether there is anything to wait for."""
        while self._has_room():
            order = self._again.popleft() if self._again else next(orders, None)
            if order is None:
                self._share_out()
                break
            self._roomiest().give(order)
        return any(worker.is_needed() for worker in self._workers)

    def arrived(self, within_s: float | None = None) -> list[Outcome]:
        """The outcomes that come next, as soon as there are any; none where there is other news.

        None, too, when nothing has come within ``within_s``, or limits are to be looked at.
        """
        outcomes: list[Outcome] = []
        connections = [worker.connection for worker in self._workers]
        news = wait(connections, LIMITS_LOOK_S if self._task.limits else within_s)
        for worker in list(self._workers):
            if worker.connection in news:
                outcomes += worker.receive()
            if worker.ended:
                self._bury(worker)
            elif failure := worker.over_limits():
                self._again.append(failure)
                self._kill(worker)
        return outcomes

    def take_back(self) -> list[Group]:
        """What workers have no outcome of yet; those that have any are killed."""
        groups = []
        for worker in [each for each in self._workers if each.held]:
            groups += [held.rest() for held in worker.held if held.rest()]
            self._kill(worker)
        return groups

    def interrupt(self) -> None:
        """Kills the workers from another thread: the owner finds suspects where trials ran."""
        for worker in list(self._workers):
            worker.interrupt()

    def _has_room(self) -> bool:
        return len(self._workers) < self._jobs or any(w.can_take_more() for w in self._workers)

    def _roomiest(self) -> Worker:
        """The worker to have the next group, started if all are at work."""
        fewest = min(self._workers, key=lambda worker: len(worker.held), default=None)
        if fewest is None or (fewest.held and len(self._workers) < self._jobs):
            fewest = Worker(self._task)
            self._workers.append(fewest)
        return fewest

    def _share_out(self) -> None:
        """Has workers with nothing to do take over what waits for others, last first."""
        for idle in [worker for worker in self._workers if not worker.held]:
            waiting = max((worker.waiting() for worker in self._workers), key=len)
            if waiting:
                waiting[-1].elsewhere = True
                idle.give(waiting[-1].group)

    def _bury(self, worker: Worker) -> None:
        """Sees to what a worker had when it died; a stack's trials are then run one by one."""
        self._workers.remove(worker)
        death = WorkerDiedError(f"the process that ran it ended with {worker.how_it_ended()}")
        running, *ahead = [each.rest() for each in worker.held] or [()]
        self._again.extend(group for group in ahead if group)
        if len(running) > 1:
            self._again.extend((planned,) for planned in running)
        elif running:
            self.suspects.append(Failure(running[0], death, 0.0))

    def _kill(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.kill()
