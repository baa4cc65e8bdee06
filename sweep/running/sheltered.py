"""The process in a shelter: runs the groups of trials that come down its connection.

Started by `sweep.running.shelter`, with the connection's descriptor as its one argument. First
comes where to look for modules and the task, then groups. It answers each group twice: when it
begins it, and with the outcomes or what the task raised.
"""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from sweep.running.limits import resident_mib

if TYPE_CHECKING:
    from sweep.running.task import Task

IDLE_AT_MOST_S = 60.0
"""How long it waits for a group; its owner starts another process when there is one again."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Says that the trials that came now run.

    Attributes:
        resident_mib: the memory that the process held before them.
    """

    resident_mib: float


def main() -> None:
    """Runs groups until the other end hangs up or has had none for a while."""
    from sweep.running.allocator import keep_freed_memory
    from sweep.running.following import follow

    connection = Connection(int(sys.argv[1]))
    os.set_inheritable(connection.fileno(), False)
    follow(os.getppid())
    keep_freed_memory()
    try:
        _serve(connection)
    except (EOFError, ConnectionError):
        return


def _serve(connection: Connection) -> None:
    path, pickled = connection.recv()
    sys.path[:] = path
    try:
        task: Task = pickle.loads(pickled)  # noqa: S301  # from the process that started this one
        task.prepare()
    except Exception as error:  # noqa: BLE001  # whoever asked is to know
        connection.send(error)
        return
    while connection.poll(IDLE_AT_MOST_S):
        group = connection.recv()
        connection.send(Begun(resident_mib(os.getpid())))
        try:
            answer: object = task.contained_group(group)
        except Exception as error:  # noqa: BLE001
            answer = error
        connection.send(answer)
