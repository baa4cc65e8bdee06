"""Where workers come from: a process that has imported what they need, and is forked for each.

To import torch takes a process seconds, to fork one that has it milliseconds. What the server
does is in `sweep.running.forking`. It starts with ``-P``, so that no module in the current
folder is taken for one of Python's, and ends when the process that started it does.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Pipe
from multiprocessing.reduction import send_handle
from pathlib import Path

from sweep.errors import SystemLimitError
from sweep.running import forking
from sweep.running.forking import Request
from sweep.running.task import TRAINING

_ROOT = str(Path(__file__).parents[2])
_SERVE = (  # by the name that the module has here, which may be another than its own
    f"import sys; sys.path.append(sys.argv[2]); from {forking.__name__} import main; main()"
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A library that starts threads when it is imported would leave them out of a fork."""

_TELLS_NOTHING = frozenset({"PYTEST_CURRENT_TEST", "LEAKSWEEP_DB", "COLUMNS", "LINES"})
SERVER_ENDS_WITHIN_S = 2.0

_lock = threading.RLock()
_servers: list[ForkServer] = []  # those of other environments, too: their workers may be at work


class ForkServer:
    """A server that has imported the module ``preload``, or is about to. For several threads."""

    def __init__(self, preload: str) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._has_answered = False
        self._preload = preload
        self._variables = variables()
        self._connection, theirs = Pipe()
        command = [sys.executable, "-P", "-c", _SERVE, str(theirs.fileno()), _ROOT]
        with theirs, _stderr() as stderr:
            self._process = subprocess.Popen(  # noqa: S603  # nothing in it comes from a user
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
                env=self._variables,
            )
        try:
            threading.Thread(target=self._process.wait, daemon=True).start()  # leaves no zombie
        except RuntimeError:
            self.close()
            self._process.wait()
            raise
        with suppress(ConnectionError):
            self._connection.send((module_path(), preload))

    def serves(self, preload: str) -> bool:
        """Whether workers with that module can be had of it, in this process as it is now."""
        return (
            self._preload == preload
            and not self._connection.closed
            and self._owner == os.getpid()
            and self._process.poll() is None
            and _telling(self._variables) == _telling(variables())
        )

    def fork(self, connection: int) -> int:
        """The number of a new worker that has the other end of a connection.

        Raises OSError where the system refuses a process, EOFError where the server has ended.
        """
        with _stderr() as stderr:
            return self._asked(Request(), connection, stderr)

    def end(self, pid: int, seconds: float) -> int:
        """How a worker ended, killed if it has not within ``seconds``: as `Popen.returncode`.

        Raises EOFError where the server has ended, and the worker with it.
        """
        return self._asked(Request(pid, seconds))

    def close(self) -> None:
        """Ends the server and its workers; one that is still importing has none, and is killed."""
        self._connection.close()
        if not self._has_answered and self._owner == os.getpid():
            self._process.kill()

    def wait(self) -> None:
        """Waits until it has ended; it was closed before."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(SERVER_ENDS_WITHIN_S)

    def _asked(self, request: Request, *descriptors: int) -> int:
        with self._lock:
            try:
                self._connection.send(request)
                for descriptor in descriptors:
                    send_handle(self._connection, descriptor, None)
                answer: int | OSError = self._connection.recv()
            except (OSError, EOFError) as error:
                self.close()
                raise EOFError from error
            except BaseException:  # an answer that nobody awaits would be taken for the next
                self.close()
                raise
        self._has_answered = True
        if isinstance(answer, OSError):
            raise answer
        return answer


def running(preload: str = TRAINING) -> ForkServer:
    """This process's server that has imported ``preload``, started where there is none.

    Returns before it has, so that a command which calls this first reads its spec and opens
    its database meanwhile. Raises SystemLimitError where the system refuses a process.
    """
    with _lock:
        for server in _servers:
            if server.serves(preload):
                return server
        try:
            _servers.append(ForkServer(preload))
        except (OSError, RuntimeError) as error:
            raise SystemLimitError("process for trials", error) from error
        return _servers[-1]


def module_path() -> tuple[str, ...]:
    """Where this process looks for modules, without the current folder.

    That is looked into when a name of one's own is, and then last.
    """
    here = {"", current_folder()}
    return tuple(dict.fromkeys([*(entry for entry in sys.path if entry not in here), _ROOT]))


def current_folder() -> str:
    """The folder that this process works in; empty where it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def variables() -> dict[str, str]:
    """The environment of workers: this process's, with libraries kept to one thread."""
    return os.environ | _ONE_THREAD


def _telling(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of ``variables`` that a library may have read when it was imported."""
    return {name: text for name, text in variables.items() if name not in _TELLS_NOTHING}


@contextmanager
def _stderr() -> Iterator[int]:
    """A descriptor of what is stderr now, or of nothing where it is closed."""
    try:
        descriptor = os.dup(2)
    except OSError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@atexit.register
def _end_all() -> None:
    for server in _servers:
        server.close()
        server.wait()
