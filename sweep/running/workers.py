"""Trials on all cores of this machine: joblib's worker processes, each with one thread.

What is added here is that a worker's death costs no trial but the one that killed it, and
that no worker outlives the driver.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import BrokenProcessPool
from joblib.parallel import LokyBackend

from sweep.running.allocator import keep_freed_memory
from sweep.running.following import follow, quiet_trackers
from sweep.running.limits import NO_LIMITS
from sweep.running.shelters import alone
from sweep.running.source import Source
from sweep.running.task import Task
from sweep.values.outcome import Outcome


def in_workers(source: Source, task: Task, jobs: int) -> Iterator[Outcome]:
    """The outcome of each trial of ``source``, ``jobs`` at once, in the order they finish.

    ``jobs`` is at least 2. A trial whose worker died is run once more, alone, and has failed
    if its process dies again. Closing the iterator stops the workers.
    """
    while not source.exhausted:
        try:
            for outcomes in _pool(source, task, jobs):
                yield from map(source.settle, outcomes)
        except BrokenProcessPool:
            yield from alone(source.take_unsettled(), task, NO_LIMITS)
    yield from alone(source.take_unsettled(), task, NO_LIMITS)


class _ShortBatches(LokyBackend):  # type: ignore[misc]  # joblib has no types
    """joblib's worker processes, which hand short trials over at least twice a second.

    What a worker has finished and not handed over is lost when the driver is killed.
    """

    MIN_IDEAL_BATCH_DURATION = 0.1
    MAX_IDEAL_BATCH_DURATION = 0.5


def _pool(source: Source, task: Task, jobs: int) -> Iterator[list[Outcome]]:
    """The outcomes of a pool of workers, a group of trials' at a time.

    Raises BrokenProcessPool where a worker dies. A trial that was read ahead of its group by
    then is unsettled like those that were running.
    """
    run = delayed(task.contained_group)
    backend = _ShortBatches(inner_max_num_threads=1, initializer=_begin, initargs=(os.getpid(),))
    with quiet_trackers(), parallel_config(backend):
        groups = Parallel(jobs, return_as="generator_unordered")(map(run, task.groups(source)))
    try:
        for outcomes in groups:  # noqa: UP028  # closing must reach the lines below first
            yield outcomes
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it stops early, as it is told to
            groups.close()


def _begin(driver: int) -> None:
    """What a worker of the process ``driver`` does before its first trial."""
    follow(driver)
    keep_freed_memory()
