"""What the fork server does: imports what workers need, forks them, says how they ended.

Started by `sweep.running.fork_server`, whose end of the connection closes when the driver
ends, however it does: every worker and all that its trial has started ends then, too. One
thread, as a fork of several would be of one alone.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection

from sweep.running.allocator import keep_freed_memory
from sweep.running.serving import work

REQUEST = struct.Struct("=cid")
"""`FORK`; or `END` with the worker's number and how many seconds it may take to end by itself."""
REPLY = struct.Struct("=?i")
"""Whether it was done, and the number of the worker, its exit code, or the system's error."""
FORK, END = b"f", b"e"
LENGTH = struct.Struct("=I")
SERVER_IDLE_S = 60.0
"""How long the server stays when it has no workers; another is started when one is wanted."""

_LOOK_S = 0.005


def main() -> None:
    """Serves the connection whose descriptor is the first argument until it is hung up."""
    driver = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(driver.fileno(), False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    keep_freed_memory()
    path, preload = pickle.loads(receive(driver, LENGTH.unpack(receive(driver, LENGTH.size))[0]))  # noqa: S301  # the driver's
    sys.path[:] = path
    with suppress(Exception):  # a worker imports it again, and tells
        importlib.import_module(preload)
    gc.collect()
    gc.freeze()  # so that no collection in a worker touches, and so copies, what all share
    _Server(driver).run()


def receive(connection: socket.socket, size: int) -> bytes:
    """That many bytes. Raises EOFError where the other end is closed before."""
    got = b""
    while len(got) < size:
        if not (chunk := connection.recv(size - len(got))):
            raise EOFError
        got += chunk
    return got


class _Server:
    """The workers, and the driver that asks for them."""

    def __init__(self, driver: socket.socket) -> None:
        self._driver = driver
        self._workers: set[int] = set()

    def run(self) -> None:
        try:
            while self._is_wanted():
                request, descriptors, _, _ = socket.recv_fds(self._driver, REQUEST.size, 2)
                if not request:
                    break
                self._answer(request, descriptors)
        except ConnectionError:
            pass
        finally:
            for pid in self._workers:
                _kill(pid)

    def _is_wanted(self) -> bool:
        """Waits for a request; False where there was none, and no worker, for a while."""
        while not select.select([self._driver], [], [], SERVER_IDLE_S)[0]:
            if not any(map(_is_running, self._workers)):
                return False
        return True

    def _answer(self, request: bytes, descriptors: list[int]) -> None:
        what, pid, seconds = REQUEST.unpack(request)
        try:
            number = self._fork(*descriptors) if what == FORK else self._end(pid, seconds)
            reply = REPLY.pack(True, number)
        except OSError as error:
            reply = REPLY.pack(False, error.errno or 0)
        self._driver.sendall(reply)

    def _fork(self, connection: int, stderr: int) -> int:
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
            raise ChildProcessError(errno.ECHILD, "no such worker")
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
