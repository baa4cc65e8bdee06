"""A query on a SQLite file, run where it can be left.

SQLite looks up between instructions alone, and one instruction can take minutes: a LIKE over
a long text. So a thread runs the query, and whoever asked waits for it as for anything else:
until a deadline, or until Ctrl-C.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self, TypeVar

from sweep.store.failures import database_error, own_words, primary_code, refused, timed_out
from sweep.store.sqlite_reader import MIB, read_only_connection
from sweep.store.url import DatabaseUrl

_FETCHED = 2000  # rows at once
_HELD = 64 * MIB  # of texts and blobs, after which no more rows are fetched at once
_GRACE_S = 1.0  # for SQLite to come to its next instruction and end by itself
_FILE_ERRORS = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
    | {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
)

_Answer = TypeVar("_Answer")


def query_sqlite(
    url: DatabaseUrl, path: Path, sql: str, timeout_s: float | None
) -> Generator[tuple[Any, ...]]:
    """The names of the columns of ``sql``, and then its rows; ends the query when it is closed.

    See `sweep.store.query.run_query` for what it raises.
    """
    with _QueryThread(timeout_s) as thread:
        connection = thread.opened(partial(read_only_connection, url, path))
        try:
            cursor = thread.answer(partial(connection.execute, sql))
            if cursor.description is None:
                raise refused("it has no statement that returns rows")
            yield tuple(name for name, *_ in cursor.description)
            while rows := thread.answer(partial(_fetch, cursor)):
                yield from rows
        # Some misuse of the module comes as a Warning, or as what Python raises for bad text.
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if primary_code(error) in _FILE_ERRORS:
                raise database_error(url, "read", error) from error
            raise refused(own_words(error)) from error


class _QueryThread:
    """A thread that calls what it is given, one call after another, and that can be left."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._left = False
        self._connection: sqlite3.Connection | None = None
        threading.Thread(target=self._run, name="leaksweep-query", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the thread, which closes the connection; waits for it unless it was left."""
        if self._connection is not None:
            self._calls.put(self._connection.close)
        self._calls.put(None)
        if self._connection is not None and not self._left:
            self._answers.get()

    def opened(self, open_it: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        """The connection that ``open_it`` returns, which this thread will close."""
        self._connection = self.answer(open_it)
        return self._connection

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

    def _leave(self) -> None:
        """Interrupts the call, and goes on without its answer if it does not end by itself."""
        if self._connection is not None:
            self._connection.interrupt()
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


def _fetch(cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
    """The next rows: some thousands, or fewer large ones; none at the end."""
    rows: list[tuple[Any, ...]] = []
    held = 0
    for row in cursor:
        rows.append(row)
        held += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(rows) == _FETCHED or held > _HELD:
            break
    return rows
