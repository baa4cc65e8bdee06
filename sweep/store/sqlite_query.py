"""A query on a SQLite file, run where it can be left.

SQLite looks up between instructions alone, and one instruction can take minutes: a LIKE over
a long text. So a thread runs the query, and whoever asked waits for it as for anything else:
until a deadline, or until Ctrl-C.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sweep.store.failures import database_error, own_words, primary_code
from sweep.store.result import FETCH, QueryResult, refused, timed_out
from sweep.store.sqlite_reader import MIB, read_only_connection
from sweep.store.url import DatabaseUrl

_HELD = 64 * MIB  # of texts and blobs, after which no more rows are fetched at once
_GRACE_S = 1.0  # for SQLite to come to its next instruction and end by itself
_FILE_ERRORS = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
    | {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
)

_Answer = TypeVar("_Answer")


def query_sqlite(url: DatabaseUrl, path: Path, sql: str, timeout_s: float | None) -> QueryResult:
    """The rows of ``sql``. See `sweep.store.query.run_query` for what it raises."""
    thread = _QueryThread(timeout_s)
    connection = thread.answer(partial(read_only_connection, url, path))
    thread.interrupt = connection.interrupt
    close = partial(thread.close, connection.close)
    try:
        cursor = thread.answer(partial(_execute, url, connection, sql))
    except BaseException:
        close()
        raise
    columns = tuple(name for name, *_ in cursor.description)
    return QueryResult(columns, _rows(thread, url, cursor), close)


class _QueryThread:
    """A thread that calls what it is given, one call after another, and that can be left."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._left = False
        self.interrupt: Callable[[], object] = lambda: None
        threading.Thread(target=self._run, name="leaksweep-query", daemon=True).start()

    def answer(self, call: Callable[[], _Answer]) -> _Answer:
        """What ``call`` returns or raises. Raises QueryRefusedError at the deadline."""
        self._calls.put(call)
        left_s = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            value, error = self._answers.get(timeout=left_s)
        except BaseException as end:
            self._leave()
            if isinstance(end, Empty):
                raise timed_out(self._timeout_s or 0.0) from None
            raise
        if error is not None:
            raise error
        answer: _Answer = value
        return answer

    def close(self, close: Callable[[], object]) -> None:
        """Ends the thread, which calls ``close`` last; waits for it unless it was left."""
        self._calls.put(close)
        self._calls.put(None)
        if not self._left:
            self._answers.get()

    def _leave(self) -> None:
        """Interrupts the call, and goes on without its answer if it does not end by itself."""
        self.interrupt()
        try:
            self._answers.get(timeout=_GRACE_S)
        except Empty:
            self._left = True

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._answers.put((call(), None))
            except BaseException as error:  # noqa: BLE001 raised again in the thread that asked
                self._answers.put((None, error))


def _execute(url: DatabaseUrl, connection: sqlite3.Connection, sql: str) -> sqlite3.Cursor:
    try:
        cursor = connection.execute(sql)
    # Some misuse of the module comes as a Warning, or as what Python raises for bad text.
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise _explain(url, error) from error
    if cursor.description is None:
        raise refused("it has no statement that returns rows")
    return cursor


def _rows(
    thread: _QueryThread, url: DatabaseUrl, cursor: sqlite3.Cursor
) -> Iterator[tuple[Any, ...]]:
    while rows := thread.answer(partial(_fetch, url, cursor)):
        yield from rows


def _fetch(url: DatabaseUrl, cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
    """The next rows: some thousands, or fewer large ones; none at the end."""
    rows: list[tuple[Any, ...]] = []
    held = 0
    try:
        for row in cursor:
            rows.append(row)
            held += sum(len(value) for value in row if isinstance(value, str | bytes))
            if len(rows) == FETCH or held > _HELD:
                break
    except sqlite3.Error as error:
        raise _explain(url, error) from error
    return rows


def _explain(url: DatabaseUrl, error: Exception) -> Exception:
    if primary_code(error) in _FILE_ERRORS:
        return database_error(url, "read", error)
    return refused(own_words(error))
