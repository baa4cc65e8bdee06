"""How trials are run: on which cores or machines, how many at once, and within which limits.

Takes planned trials in, gives outcomes out as they come, and knows nothing of sweeps or
databases. The ways of running them are in `sweep.running`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import MisuseError
from sweep.running.fork_server import running
from sweep.running.limits import NO_LIMITS, Limits
from sweep.running.pool import in_workers
from sweep.running.task import RunTrial, Task, trained
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Backend

_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Runner:
    """How trials are to be run.

    Attributes:
        jobs: trials at once, at least 1; None for one a core that this process may use.
        backend: ``processes`` of this machine, or ``dask`` for a cluster.
        trace: whether each outcome has a row a step.
        device: ``"cpu"`` or ``"cuda"``.
        run_trial: what runs one; None for `sweep.trial.trial.run_trial`. Must pickle.
        limits: what one trial may take; a trial that takes more is stopped and has failed.
        scheduler: the address of the cluster's scheduler; None for a cluster of ``jobs``
            workers on this machine. The workers of one that is there already say how many
            trials it runs at once, not ``jobs``.
        tell: takes what is to be said of the cluster meanwhile.
        stacked: whether trials that differ only in their seed may be trained as one stack,
            where that is faster. The outcomes are the same bit for bit; trials are read
            further ahead.

    Raises MisuseError for a scheduler of no cluster.
    """

    jobs: int | None = None
    backend: Backend = Backend.PROCESSES
    trace: bool = False
    device: str = "cpu"
    run_trial: RunTrial | None = None
    limits: Limits = NO_LIMITS
    scheduler: str | None = None
    tell: Callable[[str], None] = lambda _: None
    stacked: bool = True

    def __post_init__(self) -> None:
        if self.scheduler is not None and self.backend is not Backend.DASK:
            raise MisuseError(
                f"--scheduler {self.scheduler} is for --backend dask; the backend is "
                f"{self.backend}. Give both, or neither."
            )

    def check(self) -> None:
        """Sees whether trials can be run, and has what workers need imported meanwhile.

        Raises MisuseError, such as ClusterError, if they cannot.
        """
        if self.backend is Backend.DASK:
            from sweep.running.cluster import check

            check(self.scheduler)
        else:
            running(self.task().preload)

    def run(self, trials: Iterable[PlannedTrial]) -> Generator[Outcome, None, None]:
        """The outcome of each of ``trials``, in the order in which they finish.

        ``trials`` is read lazily, a few ahead. A trial whose worker dies is run once more,
        alone, and becomes a failed outcome if its worker dies again.
        Raises what reading ``trials`` raises, once the trials read by then are finished.
        Closing the iterator stops the workers.
        """
        failures: list[Exception] = []
        read, task = _until_it_fails(trials, failures), self.task()
        jobs = self.jobs or cores()
        if self.backend is Backend.DASK:
            from sweep.running.batches import on_cluster
            from sweep.running.cluster import opened_cluster

            with opened_cluster(self.scheduler, jobs) as client:
                yield from on_cluster(read, task, client, self.tell)
        else:
            yield from in_workers(read, task, jobs)
        for failure in failures:
            raise failure

    def task(self) -> Task:
        """What is done with each trial, or with several at once."""
        if self.run_trial is not None:
            return Task(self.run_trial, self.limits)
        return trained(
            trace=self.trace, device=self.device, limits=self.limits, stacked=self.stacked
        )


def _until_it_fails(
    trials: Iterable[PlannedTrial], failures: list[Exception]
) -> Iterator[PlannedTrial]:
    """``trials``, ending where reading them raises, with what it raises put into ``failures``."""
    try:
        yield from trials
    except Exception as failure:  # noqa: BLE001  # raised when what was read by then is finished
        failures.append(failure)


def cores() -> int:
    """The cores that the system gives to this process, at least 1.

    Those that it may be scheduled on, and no more than a container's share of processor time
    comes to, rounded up.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux says
        allowed = os.cpu_count() or 1
    return max(1, min(allowed, _share_of_container(allowed)))


def _share_of_container(most: int) -> int:
    """The cores that cgroups (version 2, or else 1) limit this process to; ``most`` if none do."""
    try:
        quota, period = (_CGROUPS / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = (
                (_CGROUPS / "cpu" / name).read_text().strip()
                for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            )
        except OSError:
            return most
    limited = quota.isdecimal() and period.isdecimal() and int(period) > 0
    return -(-int(quota) // int(period)) if limited else most
