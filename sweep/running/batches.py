"""Trials on a cluster: batches out, outcomes back, a few batches ahead of the workers.

A task costs Dask about a millisecond, and a short trial takes not much more, so that short
trials travel in batches. Dask runs a batch again when its worker is lost; outcomes count when
they arrive, once.
"""

# mypy: allow-untyped-calls
# Half of distributed has types.

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING
from uuid import uuid4

from sweep.errors import ClusterError
from sweep.running.cluster import Tell, compare_versions
from sweep.running.on_worker import BatchOutcomes, run_batch, stop
from sweep.running.task import Task, WorkerDiedError
from sweep.trial.groups import Group
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial

if TYPE_CHECKING:
    from distributed import Client, Future

BATCH_S = 0.3
"""How long a batch of short trials is to take; what is not handed over yet dies with a driver."""

LARGEST_BATCH = 500
CLUSTER_LOOK_S = 1.0
STOPS_WITHIN_S = 2.0

_LOST = (
    "The connection to the Dask scheduler was lost. What was finished is recorded; "
    "the same command goes on from there."
)

Batch = list[Group]


def on_cluster(
    trials: Iterable[PlannedTrial], task: Task, client: Client, tell: Tell
) -> Iterator[Outcome]:
    """The outcome of each of ``trials``, in the order in which they come back.

    A trial whose workers die, as often as the scheduler allows, is run once more when nothing
    else is, and has failed if they die again: Dask suspects whatever a worker had when it
    died. Raises ClusterError where the scheduler is lost or a worker cannot run trials.
    Closing the iterator stops the trials.
    """
    dispatch = _Dispatch(client, task, tell)
    groups = task.groups(trials)
    try:
        while dispatch.fill(groups) or dispatch.suspect_alone():
            yield from dispatch.arrived()
    finally:
        dispatch.close()


@dataclass(slots=True)
class BatchSize:
    """How many trials go into a batch: such that it takes about `BATCH_S`, growing from one."""

    size: int = 1

    def learn(self, trials: int, seconds: float) -> None:
        """Takes into account that a batch of ``trials`` took ``seconds``."""
        fitting = int(BATCH_S * trials / seconds) if seconds > 0 else LARGEST_BATCH
        self.size = max(1, min(fitting, 2 * self.size, LARGEST_BATCH))

    def taken(self, groups: Iterator[Group]) -> Batch:
        """The next of ``groups``, as many as it takes for that number of trials or more."""
        batch: Batch = []
        while _trials(batch) < self.size and (group := next(groups, None)):
            batch.append(group)
        return batch


def _trials(batch: Batch) -> int:
    return sum(map(len, batch))


@dataclass(slots=True)
class _Dispatch:
    """The batches in flight, and how many and how large they are to be."""

    client: Client
    task: Task
    tell: Tell
    run: str = field(default_factory=lambda: uuid4().hex)
    in_flight: dict[Future[BatchOutcomes], Batch] = field(default_factory=dict)
    _done: SimpleQueue[Future[BatchOutcomes]] = field(default_factory=SimpleQueue)
    _batch: BatchSize = field(default_factory=BatchSize)
    _again: deque[Group] = field(default_factory=deque)
    _suspects: list[PlannedTrial] = field(default_factory=list)
    _alone: bool = False
    _compared: set[str] = field(default_factory=set)
    _threads: int = -1  # not looked yet
    _looked: float = float("-inf")

    def fill(self, groups: Iterator[Group]) -> bool:
        """Sends batches until there are two a thread of the cluster; whether any is in flight."""
        self._look()
        while len(self.in_flight) < 2 * max(1, self._threads):
            batch = self._batch.taken(self._next(groups))
            if not batch:
                break
            self._send(batch)
        return bool(self.in_flight)

    def suspect_alone(self) -> bool:
        """Sends the next trial that may have killed its workers; whether there was one."""
        if not self._suspects:
            return False
        self._alone = True
        self._send([(self._suspects.pop(),)])
        return True

    def arrived(self) -> Sequence[Outcome]:
        """The outcomes of one batch that is done; none where none is for a while."""
        try:
            future = self._done.get(timeout=CLUSTER_LOOK_S)
        except Empty:
            return ()
        batch = self.in_flight.pop(future)
        if future.status == "finished":
            return self._taken(future)
        if future.status == "error":
            return self._blamed(future.exception(), batch)
        raise ClusterError(_LOST)

    def close(self) -> None:
        """Has the workers stop, as far as they are reached in time; forgets what is in flight."""
        self.in_flight.clear()
        if self.client.status == "running":
            stopping = Thread(target=self._stop_workers, daemon=True)
            stopping.start()
            stopping.join(STOPS_WITHIN_S)

    def _stop_workers(self) -> None:
        with suppress(OSError):
            self.client.run(stop, self.run, on_error="ignore")

    def _next(self, groups: Iterator[Group]) -> Iterator[Group]:
        """First what came back undone, then ``groups``."""
        return iter(lambda: self._again.popleft() if self._again else next(groups, None), None)

    def _send(self, batch: Batch) -> None:
        future = self.client.submit(run_batch, self.run, self.task, batch, pure=False)
        self.in_flight[future] = batch
        future.add_done_callback(self._done.put)

    def _taken(self, future: Future[BatchOutcomes]) -> Sequence[Outcome]:
        result = future.result()
        self._batch.learn(len(result.outcomes), result.seconds)
        self._again.extend(result.rest)
        return result.outcomes

    def _blamed(self, error: BaseException | None, batch: Batch) -> Sequence[Outcome]:
        """The failed outcome of a trial that no worker survived though it was alone."""
        from distributed.scheduler import KilledWorker

        if not isinstance(error, KilledWorker):
            raise ClusterError(f"A worker cannot run trials: {type(error).__name__}: {error}")
        if not self._alone:
            self._suspects.extend(planned for group in batch for planned in group)
            return ()
        how = f"every worker that ran it died, {error.allowed_failures + 1} in all"
        return (self.task.failed(batch[0][0], WorkerDiedError(how)),)

    def _look(self) -> None:
        """Sees, now and then, how many threads the cluster has, and compares new workers' versions.

        Says so when there are none left.
        """
        if time.monotonic() - self._looked < CLUSTER_LOOK_S:
            return
        try:
            workers = self.client.nthreads()
        except OSError as error:
            raise ClusterError(_LOST) from error
        if new := workers.keys() - self._compared:
            self._compared |= compare_versions(self.client, new, self.tell)
        threads = sum(workers.values())
        if threads == 0 and self._threads != 0:
            self.tell("The cluster has no workers; waiting for some.")
        self._looked, self._threads = time.monotonic(), threads
