"""A process that runs one group of trials at a time and may be stopped or lost with it.

Whoever has a shelter waits outside it with a clock and an eye on its memory, so that a trial
which hangs in native code, holding Python's lock, is stopped like any other. What the process
does is in `sweep.running.sheltered`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import NamedTuple, Self

import cloudpickle  # type: ignore[import-untyped]

from sweep.running.limits import Limits, TrialMemoryError, TrialTimeoutError, resident_mib
from sweep.running.sheltered import Begun
from sweep.running.task import Task, WorkerDiedError
from sweep.trial.groups import Group
from sweep.values.outcome import Outcome

LOOK_EVERY_S = 0.05
"""How often time and memory are looked at, and so by how much a trial may pass its limits."""

_SERVE = "from sweep.running.sheltered import main; main()"
ENDS_WITHIN_S = 2.0
"""How long a process that has hung up may take to end by itself."""


class Shelter:
    """One process for trials: started when there are some to run, replaced when they ended it.

    They come in groups that the task runs at once; where trials have limits, a group is one
    trial. A context manager that kills the process. For one thread at a time.
    """

    def __init__(self, task: Task, limits: Limits) -> None:
        self._task = task
        self._limits = limits
        self._process: _Process | None = None
        self._interrupted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kills the process and whatever it has started."""
        if self._process is not None:
            self._process.kill()
            self._process.connection.close()
            self._process = None

    def interrupt(self) -> None:
        """Kills the process from another thread; from now on every trial finds it dead."""
        self._interrupted = True
        process = self._process
        if process is not None:
            process.kill()

    @property
    def connection(self) -> Connection:
        """What to wait for until `outcomes` has news of the group that was started."""
        return self._running.connection

    def start(self, group: Group) -> None:
        """Has the process run ``group``."""
        if self._process is None:
            self._process = _Process(self._task)
            if self._interrupted:
                self._process.kill()
        self._group = group
        self._begun: _Clock | None = None
        self._process.send(group)

    def outcomes(self) -> list[Outcome] | None:
        """The outcomes of the group that was started; None while it is running.

        A trial over its limits is stopped, and has failed. Raises WorkerDiedError where the
        process ended by itself, and whatever the task raised.
        """
        process = self._running
        try:
            return self._news(process)
        except (EOFError, ConnectionError):
            how = process.end()
            self.close()
            if process.served and self._begun is None and not self._interrupted:
                self.start(self._group)  # it had ended before the group came
                return None
            raise WorkerDiedError(f"the process that ran it ended with {how}") from None

    def run(self, group: Group) -> list[Outcome]:
        """Runs ``group`` to its end. Raises as `outcomes` does."""
        self.start(group)
        while (outcomes := self.outcomes()) is None:
            wait([self.connection], LOOK_EVERY_S)
        return outcomes

    @property
    def _running(self) -> _Process:
        assert self._process is not None  # noqa: S101  # `start` came before
        return self._process

    def _news(self, process: _Process) -> list[Outcome] | None:
        if not process.connection.poll():
            return self._stopped(process)
        answer: Begun | list[Outcome] | BaseException = process.connection.recv()
        if isinstance(answer, Begun):
            self._begun = _Clock(time.monotonic(), answer.resident_mib)
            return None
        process.served = True
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _stopped(self, process: _Process) -> list[Outcome] | None:
        """The failed outcome of a trial that is over its limits, now stopped; None of another.

        What its process takes to get ready before is not the trial's.
        """
        if self._begun is None or not self._limits:
            return None
        seconds, grown_mib = time.monotonic() - self._begun.at_s, 0.0
        if self._limits.memory_mib is not None:
            grown_mib = resident_mib(process.pid) - self._begun.resident_mib
        try:
            self._limits.check(seconds, grown_mib)
        except (TrialTimeoutError, TrialMemoryError) as error:
            self.close()
            return [self._task.failed(each, error, seconds=seconds) for each in self._group]
        return None


class _Clock(NamedTuple):
    """When a trial began, and how much memory its process held then."""

    at_s: float
    resident_mib: float


class _Process:
    """The process itself, in a process group of its own, and the connection to it.

    Attributes:
        served: whether it has answered a group.
    """

    def __init__(self, task: Task) -> None:
        self.connection, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-P", "-c", _SERVE, str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603  # nothing in it comes from a user
                command, pass_fds=[theirs.fileno()], start_new_session=True
            )
        self.pid = self._process.pid
        self.served = False
        self.send((sys.path, cloudpickle.dumps(task)))

    def send(self, message: object) -> None:
        """Sends ``message``; where the process has ended, reading from it will tell."""
        with suppress(ConnectionError):
            self.connection.send(message)

    def end(self) -> str:
        """Sees to it that it ends; returns how it did, such as ``SIGKILL`` or ``EXIT(7)``."""
        try:
            self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
        code = self._process.returncode
        return signal.Signals(-code).name if code < 0 else f"EXIT({code})"

    def kill(self) -> None:
        """Kills it and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
