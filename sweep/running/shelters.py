"""Several trials at once, each in a shelter of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from multiprocessing.connection import wait

from sweep.limits import Limits
from sweep.outcome import Outcome
from sweep.running.shelter import LOOK_EVERY_S, Shelter
from sweep.running.source import Source
from sweep.running.task import Task, WorkerDiedError
from sweep.setting import PlannedTrial


def in_shelters(source: Source, task: Task, limits: Limits, count: int) -> Iterator[Outcome]:
    """The outcomes of ``source``, ``count`` trials at a time, in the order they finish.

    A trial that ended its process stays unsettled: others were running that may have taken
    the memory it lacked. Closing the iterator kills the processes.
    """
    with ExitStack() as stack:
        free = [stack.enter_context(Shelter(task, limits)) for _ in range(count)]
        busy: list[Shelter] = []
        while True:
            for planned in islice(source, len(free)):
                busy.append(free.pop())
                busy[-1].start(planned)
            if not busy:
                return
            wait([shelter.connection for shelter in busy], LOOK_EVERY_S)
            finished, outcomes = _finished(busy)
            free.extend(finished)
            busy = [shelter for shelter in busy if shelter not in finished]
            yield from map(source.settle, outcomes)


def _finished(busy: Iterable[Shelter]) -> tuple[list[Shelter], list[Outcome]]:
    """Those whose trial is at its end, and the outcomes of such as have one."""
    finished, outcomes = [], []
    for shelter in busy:
        try:
            outcome = shelter.outcome()
        except WorkerDiedError:
            finished.append(shelter)
            continue
        if outcome is not None:
            finished.append(shelter)
            outcomes.append(outcome)
    return finished, outcomes


def alone(trials: Iterable[PlannedTrial], task: Task, limits: Limits) -> Iterator[Outcome]:
    """The outcomes of one shelter; a trial that ends its process has failed."""
    with Shelter(task, limits) as shelter:
        for planned in trials:
            try:
                yield shelter.run(planned)
            except WorkerDiedError as error:
                yield task.failed(planned, error)
