"""What a worker does: runs the groups of trials that come down its connection.

`sweep.running.forking` calls `work` in a process that it has just forked. First come the
worker's orders, then groups. Each outcome goes back when it is there, so that a trial which
has ended never waits for the others of its group.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from sweep.running.limits import resident_mib

if TYPE_CHECKING:
    from sweep.running.task import Task
    from sweep.values.outcome import Outcome
    from sweep.values.setting import PlannedTrial

WORKER_IDLE_S = 60.0
"""How long a worker waits for a group; its owner starts another when there is one again."""

_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG, from Linux's prctl.h


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told before its first group.

    Attributes:
        path: where to look for modules.
        folder: the folder to work in; empty where the driver's is gone.
        variables: the environment.
        task: what to do with each trial, pickled.
    """

    path: tuple[str, ...]
    folder: str
    variables: Mapping[str, str]
    task: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """In place of a group: a trial that ended without an outcome, to be made a failed one."""

    planned: PlannedTrial
    error: Exception
    seconds: float


@dataclass(frozen=True, slots=True)
class Begun:
    """Says that the group that came now runs; ``resident_mib`` is what the process held then.

    Only under limits is it asked for.
    """

    resident_mib: float


def work(connection: Connection, stderr: int) -> None:
    """Runs groups until the other end hangs up, or has had none for a while.

    What a trial prints goes to ``stderr``, the driver's stdout being for data; what it asks,
    it asks nobody.
    """
    _stand_alone(stderr)
    with suppress(EOFError, ConnectionError):
        _run_groups(connection)


def _stand_alone(stderr: int) -> None:
    """Leads a process group of its own, which interruptions are none of, and ends with its parent.

    Ctrl-C reaches every process of a terminal, and SIGTERM every one of a service.
    """
    os.setsid()
    with suppress(AttributeError, OSError):  # only Linux has it
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.dup2(stderr, 2)
    os.dup2(2, 1)
    os.close(stderr)


def _run_groups(connection: Connection) -> None:
    try:
        task = _prepared(connection.recv())
    except Exception as error:  # noqa: BLE001  # whoever asked is to know
        _send_error(connection, error)
        return
    while connection.poll(WORKER_IDLE_S):
        order = connection.recv()
        if task.limits:
            connection.send(Begun(resident_mib(os.getpid())))
        for outcome in _outcomes(task, order):
            connection.send(outcome)


def _prepared(orders: Orders) -> Task:
    """The task, with the process as ``orders`` say and what the task needs imported."""
    sys.path[:] = orders.path
    os.environ.clear()
    os.environ.update(orders.variables)
    if orders.folder:
        os.chdir(orders.folder)
    task: Task = pickle.loads(orders.task)  # noqa: S301  # from the process that started this one
    if task.preload:
        importlib.import_module(task.preload)
    return task


def _outcomes(task: Task, order: Failure | tuple[PlannedTrial, ...]) -> Iterator[Outcome]:
    if isinstance(order, Failure):
        yield task.failed(order.planned, order.error, seconds=order.seconds)
    else:
        yield from task.contained_group(order)


def _send_error(connection: Connection, error: Exception) -> None:
    try:
        connection.send(error)
    except Exception:  # noqa: BLE001  # what cannot be pickled is told in words
        connection.send(RuntimeError(f"{type(error).__name__}: {error}"))
