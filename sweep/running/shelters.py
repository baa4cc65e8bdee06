"""Several trials at once, each in a shelter of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from multiprocessing.connection import wait

from sweep.running.limits import Limits
from sweep.running.shelter import LOOK_EVERY_S, Shelter
from sweep.running.source import Source
from sweep.running.task import Task, WorkerDiedError
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial


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
                busy[-1].start((planned,))
            if not busy:
                return
            wait([shelter.connection for shelter in busy], LOOK_EVERY_S)
            finished, outcomes = _finished(busy)
            free.extend(finished)
            busy = [shelter for shelter in busy if shelter not in finished]
            yield from map(source.settle, outcomes)


def _finished(busy: Iterable[Shelter]) -> tuple[list[Shelter], list[Outcome]]:
    """Those whose trial is at its end, and the outcomes of such as have one."""
    finished: list[Shelter] = []
    outcomes: list[Outcome] = []
    for shelter in busy:
        try:
            found = shelter.outcomes()
        except WorkerDiedError:
            finished.append(shelter)
            continue
        if found is not None:
            finished.append(shelter)
            outcomes += found
    return finished, outcomes


def alone(trials: Iterable[PlannedTrial], task: Task, limits: Limits) -> Iterator[Outcome]:
    """The outcomes of one shelter; a trial that ends its process has failed.

    One of a group that ends it is found by running each by itself.
    """
    with Shelter(task, limits) as shelter:
        for group in task.groups(trials):
            try:
                yield from shelter.run(group)
            except WorkerDiedError as error:
                if len(group) > 1:
                    yield from alone(group, task.one_by_one(), limits)
                else:
                    yield task.failed(group[0], error)
