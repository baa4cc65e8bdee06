"""The process that runs other people's SQL: it can be killed in the middle of an instruction.

Started by `sweep.serve.asking`, which sends questions and takes answers. Reads only, holds no
more than it may, and ends with whoever started it. Imports no more than it needs to begin at once.
"""

from __future__ import annotations

import math
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from sweep.errors import LeaksweepError, NotThereError, QueryRefusedError
from sweep.store.sqlite_reader import MIB, read_only_connection
from sweep.store.url import parse_url

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_MOST_BYTES = 32 * MIB  # of an answer
_MOST_MEMORY = 1024 * MIB  # of this process: sorting and joining take some
_CELL = 64  # bytes that any value takes
_MORE_CPU_S = 3  # than a question may take: one instruction knows of no limit


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
    database = parse_url(db)
    if database.path is None:
        raise QueryRefusedError(f"{database.shown} is no file.")
    limit_s = question.limit_s
    with closing(read_only_connection(database, database.path, timeout_s=limit_s)) as connection:
        cursor = connection.execute(question.sql, question.params)
        rows = _bounded(cursor, question.most)
        return SqlAnswer(tuple(name for name, *_ in cursor.description or ()), rows)


def _answered(db: str, question: SqlQuestion) -> SqlAnswer | Exception:
    """The answer or what came of it, in a form that can be sent."""
    try:
        return answer(db, question)
    except LeaksweepError as error:
        return (NotThereError if isinstance(error, NotThereError) else QueryRefusedError)(
            str(error)
        )
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
