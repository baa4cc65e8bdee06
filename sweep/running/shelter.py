"""A process that runs one trial at a time and may be stopped or lost with it.

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
from typing import Self

import cloudpickle  # type: ignore[import-untyped]

from sweep.limits import Limits, TrialMemoryError, TrialTimeoutError, resident_mib
from sweep.outcome import Outcome
from sweep.running.sheltered import Ready
from sweep.running.task import Task, WorkerDiedError
from sweep.setting import PlannedTrial

LOOK_EVERY_S = 0.05
"""How often time and memory are looked at, and so by how much a trial may pass its limits."""

_SERVE = "from sweep.running.sheltered import main; main()"
ENDS_WITHIN_S = 2.0
"""How long a process that has hung up may take to end by itself."""


class Shelter:
    """One process for trials: started when there is one to run, replaced when one ended it.

    A context manager that kills the process. For one thread at a time.
    """

    def __init__(self, task: Task, limits: Limits) -> None:
        self._task = task
        self._limits = limits
        self._process: _Process | None = None

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
        """Kills the process from another thread; who waits for an outcome sees it dead."""
        process = self._process
        if process is not None:
            process.kill()

    def start(self, planned: PlannedTrial) -> Connection:
        """Has the process run ``planned``; returns what to wait for until `outcome` has news."""
        if self._process is None or self._process.has_ended():
            self.close()
            self._process = _Process(self._task)
        self._planned = planned
        self._process.send(planned)
        self._start_clock(self._process)
        return self._process.connection

    def outcome(self) -> Outcome | None:
        """The outcome of the trial that was started; None while it is running.

        A trial over its limits is stopped, and has failed. Raises WorkerDiedError where the
        process ended by itself, and whatever the task raised.
        """
        assert self._process is not None  # noqa: S101  # `start` came before
        try:
            return self._news(self._process)
        except (EOFError, ConnectionError):
            how = self._process.end()
            self.close()
            raise WorkerDiedError(f"the process that ran it ended with {how}") from None

    def run(self, planned: PlannedTrial) -> Outcome:
        """Runs ``planned`` to its end. Raises as `outcome` does."""
        connection = self.start(planned)
        while (outcome := self.outcome()) is None:
            wait([connection], LOOK_EVERY_S)
        return outcome

    def _news(self, process: _Process) -> Outcome | None:
        if not process.connection.poll():
            return self._stopped(process)
        answer: Ready | Outcome | BaseException = process.connection.recv()
        if isinstance(answer, Ready):
            process.ready = True
            self._start_clock(process)
            return None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _start_clock(self, process: _Process) -> None:
        self._started = time.monotonic()
        if self._limits.memory_mib is not None:
            self._resident_mib = resident_mib(process.pid)

    def _stopped(self, process: _Process) -> Outcome | None:
        """The failed outcome of a trial that is over its limits, now stopped; None of another.

        What a process takes before it is ready for its first trial is not the trial's.
        """
        if not (process.ready and self._limits):
            return None
        seconds, grown_mib = time.monotonic() - self._started, 0.0
        if self._limits.memory_mib is not None:
            grown_mib = resident_mib(process.pid) - self._resident_mib
        try:
            self._limits.check(seconds, grown_mib)
        except (TrialTimeoutError, TrialMemoryError) as error:
            self.close()
            return self._task.failed(self._planned, error, seconds=seconds)
        return None


class _Process:
    """The process itself, in a process group of its own, and the connection to it.

    Attributes:
        ready: whether it has said that it is ready for its first trial.
    """

    def __init__(self, task: Task) -> None:
        self.connection, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-P", "-c", _SERVE, str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603  # nothing in it comes from a user
                command, pass_fds=[theirs.fileno()], start_new_session=True
            )
        self.pid = self._process.pid
        self.ready = False
        self.send((sys.path, cloudpickle.dumps(task)))

    def send(self, message: object) -> None:
        """Sends ``message``; where the process has ended, reading from it will tell."""
        with suppress(ConnectionError):
            self.connection.send(message)

    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

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
