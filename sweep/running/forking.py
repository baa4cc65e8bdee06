"""What the fork server does: imports what workers need, forks them, says how they ended.

Started by `sweep.running.fork_server`, whose end of the connection closes when the driver
ends, however it does: every worker and all that its trial has started ends then, too. One
thread, as a fork of several would be of one alone.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import importlib
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle

from sweep.running.serving import work

SERVER_IDLE_S = 60.0
"""How long the server stays when it has no workers; another is started when one is wanted."""

_LOOK_S = 0.005

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of mallopt, from glibc's malloc.h
_KEPT_BYTES = 256 * 2**20
_LARGEST_FROM_HEAP_BYTES = 32 * 2**20  # larger ones are the system's in any case


@dataclass(frozen=True, slots=True)
class Request:
    """Asks for a worker, or for the end of worker ``pid``, which gets ``seconds`` to end by itself.

    The descriptors of a worker's connection and stderr follow. The answer is its number, or how
    it ended, or the system's error.
    """

    pid: int | None = None
    seconds: float = 0.0


def main() -> None:
    """Serves the connection whose descriptor is the first argument until it is hung up."""
    driver = Connection(int(sys.argv[1]))
    os.set_inheritable(driver.fileno(), False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    keep_freed_memory()
    sys.path[:], preload = driver.recv()
    with suppress(Exception):  # a worker imports it again, and tells
        importlib.import_module(preload)
    gc.collect()
    gc.freeze()  # so that no collection in a worker touches, and so copies, what all share
    _Server(driver).run()


def keep_freed_memory() -> None:
    """Has this process keep up to 256 MiB that it frees, where its C library is glibc.

    By default freed tensors of a megabyte go back to the system after each step, which clears
    their pages before it hands them out anew: 12% of a trial of the article's size. No trial's
    bits depend on it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS and Windows have none
        return
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_MMAP_THRESHOLD, _LARGEST_FROM_HEAP_BYTES)


class _Server:
    """The workers, and the driver that asks for them."""

    def __init__(self, driver: Connection) -> None:
        self._driver = driver
        self._workers: set[int] = set()

    def run(self) -> None:
        try:
            while self._is_wanted():
                self._driver.send(self._answer(self._driver.recv()))
        except (EOFError, OSError):  # the driver has ended, or closed it
            pass
        finally:
            for pid in self._workers:
                _kill(pid)

    def _is_wanted(self) -> bool:
        """Waits for a request; False where there was none, and no worker, for a while."""
        while not self._driver.poll(SERVER_IDLE_S):
            if not any(map(_is_running, self._workers)):
                return False
        return True

    def _answer(self, request: Request) -> int | OSError:
        try:
            return self._fork() if request.pid is None else self._end(request.pid, request.seconds)
        except OSError as error:
            return error

    def _fork(self) -> int:
        connection, stderr = recv_handle(self._driver), recv_handle(self._driver)
        try:
            pid = os.fork()
            if pid == 0:
                self._be_a_worker(connection, stderr)
        finally:
            os.close(connection)
            os.close(stderr)
        self._workers.add(pid)
        return pid

    def _be_a_worker(self, connection: int, stderr: int) -> None:
        """Ends the process."""
        code = 1
        try:
            self._driver.close()
            work(Connection(connection), stderr)
            code = 0
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
            os._exit(code)

    def _end(self, pid: int, seconds: float) -> int:
        """The exit code of a worker, minus the signal's number where one ended it."""
        if pid not in self._workers:  # and may be another's number by now
            raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))
        deadline = time.monotonic() + seconds
        while _is_running(pid) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        _kill(pid)
        self._workers.discard(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _is_running(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _kill(pid: int) -> None:
    """Kills a worker, and what it has started, which may have outlived it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):  # before it led a group
        os.kill(pid, signal.SIGKILL)
