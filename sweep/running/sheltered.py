"""The process in a shelter: runs the trials that come down its connection, one at a time.

Started by `sweep.running.shelter`, with the connection's descriptor as its one argument. First
comes where to look for modules and the task, then trials. It answers each trial twice: when it
begins it, and with its outcome or what the task raised.
"""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from sweep.limits import resident_mib

if TYPE_CHECKING:
    from sweep.running.task import Task

IDLE_AT_MOST_S = 60.0
"""How long it waits for a trial; its owner starts another process when there is one again."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Says that the trial that came now runs.

    Attributes:
        resident_mib: the memory that the process held before it.
    """

    resident_mib: float


def main() -> None:
    """Runs trials until the other end hangs up or has had none for a while."""
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
        planned = connection.recv()
        connection.send(Begun(resident_mib(os.getpid())))
        try:
            answer: object = task.contained(planned)
        except Exception as error:  # noqa: BLE001
            answer = error
        connection.send(answer)
