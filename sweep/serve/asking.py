"""Other people's SQL, run in processes that are killed when they take too long.

SQLite looks up between instructions alone, and one instruction, such as a LIKE over a long
text, can take hours. A process that runs one is ended and another takes its place; one that
answers in time is asked again. It is this module, too: `answer_questions` reads only, holds no
more than it may, and ends with whoever started it. Imports no more than it needs to begin at once.
"""

from __future__ import annotations

import math
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sweep.errors import LeaksweepError, NotThereError, QueryRefusedError, SystemLimitError
from sweep.store.failures import timed_out
from sweep.store.sqlite_reader import MIB, read_only_connection
from sweep.store.url import parse_url

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

GRACE_S = 1.0  # for SQLite to end by itself, and for the answer to come over
START_S = 10.0  # for a process to begin
_MOST_BYTES = 32 * MIB  # of an answer
_MOST_MEMORY = 1024 * MIB  # of a process: sorting and joining take some
_CELL = 64  # bytes that any value takes
_MORE_CPU_S = 3  # than a question may take: one instruction knows of no limit
_ROOT = str(Path(__file__).parents[2])
_BEGIN = (
    f"import sys; sys.path.append(sys.argv[3]); "
    f"from {__name__} import answer_questions; answer_questions()"
)


@dataclass(frozen=True, slots=True)
class SqlQuestion:
    """A query with its parameters, the rows that are wanted (None: all), and its seconds."""

    sql: str
    params: Mapping[str, Any] | Sequence[Any]
    most: int | None
    limit_s: float


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    """The names of the columns, which may repeat, and the rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Asker:
    """Processes that ask the database at the path ``db``. For several threads."""

    def __init__(self, db: str) -> None:
        self._db = db
        self._idle: list[_Process] = []

    def ask(self, question: SqlQuestion) -> SqlAnswer:
        """The answer. Raises what `answer` does, and QueryRefusedError at its limit.

        Raises SystemLimitError where the system has no process for it.
        """
        try:
            process = self._idle.pop()
        except IndexError:
            process = _Process(self._db)
        try:
            answer = process.asked(question)
        except BaseException:
            process.kill()
            raise
        self._idle.append(process)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Ends the processes that wait for a question; the others end at their limits."""
        while self._idle:
            self._idle.pop().kill()


class _Process:
    def __init__(self, db: str) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            # -P: no module of the current folder is taken for one of Python's. A session of its
            # own: Ctrl-C is for the page, which ends it.
            command = [sys.executable, "-P", "-c", _BEGIN, str(theirs.fileno()), db, _ROOT]
            nothing: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
            try:
                self._process = subprocess.Popen(  # noqa: S603  # our own code
                    command, pass_fds=[theirs.fileno()], start_new_session=True, **nothing
                )
            except OSError as error:
                raise SystemLimitError("process", error) from error
            self._connection = Connection(os.dup(ours.fileno()))

    def asked(self, question: SqlQuestion) -> SqlAnswer | Exception:
        """What it answers, or the exception that this ended in. Raises QueryRefusedError."""
        try:
            self._received(START_S)  # that it is ready
            self._connection.send(question)
            answer: SqlAnswer | Exception = self._received(question.limit_s, GRACE_S)
        except (EOFError, ConnectionError) as error:
            raise QueryRefusedError("The query took more than the process that ran it.") from error
        return answer

    def kill(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _received(self, limit_s: float, grace_s: float = 0.0) -> Any:
        if not self._connection.poll(limit_s + grace_s):
            raise timed_out(limit_s)
        return self._connection.recv()


def answer_questions() -> None:
    """Answers what comes through the socket whose number is the first argument, until it ends.

    The second argument is the database's path.
    """
    asked, db = Connection(int(sys.argv[1])), sys.argv[2]
    _limit("RLIMIT_AS", _MOST_MEMORY)
    with suppress(EOFError, ConnectionError):
        while True:
            asked.send("ready")
            question = asked.recv()
            _limit("RLIMIT_CPU", math.ceil(time.process_time() + question.limit_s + _MORE_CPU_S))
            asked.send(_answered(db, question))


def answer(db: str, question: SqlQuestion) -> SqlAnswer:
    """The answer of the database at the path ``db``.

    Raises sqlite3.Error for what the database refuses, QueryRefusedError for an answer that is
    too large, and what `read_only_connection` raises.
    """
    reader = read_only_connection(parse_url(db), Path(db), timeout_s=question.limit_s)
    with closing(reader) as connection:
        cursor = connection.execute(question.sql, question.params)
        rows = _bounded(cursor, question.most)
        return SqlAnswer(tuple(name for name, *_ in cursor.description or ()), rows)


def _answered(db: str, question: SqlQuestion) -> SqlAnswer | Exception:
    """The answer or what came of it, in a form that can be sent."""
    try:
        return answer(db, question)
    except NotThereError as error:
        return NotThereError(str(error))
    except LeaksweepError as error:
        return QueryRefusedError(str(error))
    except MemoryError:
        return _too_large("The query takes more memory", _MOST_MEMORY)
    except (sqlite3.Error, sqlite3.Warning) as error:
        return type(error)(*error.args)
    except (ValueError, OverflowError) as error:  # what Python says of bad text and numbers
        return sqlite3.OperationalError(str(error))


def _bounded(cursor: sqlite3.Cursor, most: int | None) -> list[tuple[Any, ...]]:
    """The first ``most`` rows, or all. Raises QueryRefusedError where they are too large."""
    rows: list[tuple[Any, ...]] = []
    held = 0
    for row in cursor:
        rows.append(row)
        held += sum(_CELL + len(cell) if isinstance(cell, str | bytes) else _CELL for cell in row)
        if held > _MOST_BYTES:
            raise _too_large("The answer is larger", _MOST_BYTES)
        if len(rows) == most:
            break
    return rows


def _too_large(what: str, most: int) -> QueryRefusedError:
    return QueryRefusedError(
        f"{what} than {most // MIB} MiB, which a page does not hold. Ask for less; "
        f"`leaksweep sql` prints answers of any size."
    )


def _limit(name: str, most: int) -> None:
    """Bounds this process, where the system knows how."""
    with suppress(AttributeError, OSError, ValueError):
        kind = getattr(resource, name)
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
