"""The database as Datasette sees it: through connections that cannot write, and within bounds.

Datasette opens files read-only by itself, but from an address in which a ``#`` or ``%`` of
the file's name has another meaning, and it keeps its connections and holds all rows of an
answer. Here each look opens the file anew, behind the locks that `leaksweep sql` has: a file
that is replaced while the page is open is read as it then is. Times, sizes and the number of
questions at once are bounded. SQL runs in `sweep.serve.asking`, and pages and Datasette's own few
questions in threads, one for each: one instruction can take minutes, and then keeps its place
until it really ends, though nobody waits for it any longer.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from datasette.database import Database, QueryInterrupted, Results

from sweep.errors import QueryRefusedError, SystemLimitError
from sweep.serve.asking import GRACE_S, START_S, Asker, SqlQuestion
from sweep.store.failures import timed_out
from sweep.store.revision import VERSION_TABLE
from sweep.store.sqlite_reader import read_only_connection
from sweep.store.url import DatabaseUrl

_Found = TypeVar("_Found")

AT_ONCE = 4  # of each kind: what people ask in SQL must not keep pages from being made
_THREAD_GRACE_S = 1.0  # for SQLite to end by itself, which it says in better words
_PATIENCE_S = 5.0  # for a place


class Places:
    """Room for ``most`` questions at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = asyncio.Semaphore(most)

    async def answer(self, question: Callable[[], _Found], *, limit_s: float) -> _Found:
        """What ``question`` returns or raises, asked in a thread.

        Raises QueryRefusedError where no place comes free, and for what takes longer than
        ``limit_s`` seconds: it should end by itself by then. Raises SystemLimitError where the
        system has no thread.
        """
        try:
            await asyncio.wait_for(self._free.acquire(), _PATIENCE_S)
        except TimeoutError:
            raise QueryRefusedError(
                f"{self._most} questions are being answered, and no more are taken at once. "
                f"Try again when one has ended."
            ) from None
        try:
            answer = asyncio.wrap_future(self._asked(question))
            return await asyncio.wait_for(answer, limit_s + _THREAD_GRACE_S)
        except TimeoutError:
            raise timed_out(limit_s) from None

    def _asked(self, question: Callable[[], _Found]) -> Future[_Found]:
        """The answer to come, of a thread that gives its place back when it ends.

        Threads are daemons: none of them keeps the program from ending.
        """
        loop = asyncio.get_running_loop()
        answer: Future[_Found] = Future()
        answer.set_running_or_notify_cancel()  # whoever no longer waits does not end it

        def give_place_back(_: object) -> None:
            with suppress(RuntimeError):  # the page was closed meanwhile
                loop.call_soon_threadsafe(self._free.release)

        def ask() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001 raised again where it was asked
                answer.set_exception(error)

        answer.add_done_callback(give_place_back)
        try:
            threading.Thread(target=ask, name="leaksweep-page", daemon=True).start()
        except RuntimeError as error:  # the system has no more threads
            answer.set_exception(SystemLimitError("thread", error))
        return answer


class ReadOnlyDatabase(Database):  # type: ignore[misc]  # Datasette has no types
    """The SQLite file at ``path``, which ``url`` names, for reading alone.

    Attributes:
        url: the database.
        pages, reports: room for what is made in this process.
    """

    def __init__(self, datasette: Any, url: DatabaseUrl, path: Path) -> None:
        # Mutable says: it may change under us, so do not open it as immutable or keep counts.
        super().__init__(datasette, path=str(path), is_mutable=True)
        self.url = url
        self.pages = Places(AT_ONCE)
        self.reports = Places(1)
        self._queries = Places(AT_ONCE)
        self._asker = Asker(str(path))

    def connect(self, write: bool = False, limit_s: float | None = None) -> sqlite3.Connection:
        """A connection that the caller closes, whose statements end after ``limit_s`` seconds.

        Raises QueryRefusedError for one that could write, and what `read_only_connection`
        raises.
        """
        if write:
            raise QueryRefusedError(f"{self.url.shown} is open for reading only.")
        connection = read_only_connection(self.url, Path(self.path), timeout_s=limit_s)
        connection.row_factory = sqlite3.Row
        return connection

    async def execute_fn(self, fn: Callable[[sqlite3.Connection], _Found]) -> _Found:
        """What ``fn`` returns for a connection of its own, in a thread of its own."""
        limit_s = self.ds.sql_time_limit_ms / 1000

        def found() -> _Found:
            with closing(self.connect(limit_s=limit_s)) as connection:
                return fn(connection)

        return await self._queries.answer(found, limit_s=limit_s)

    async def execute(
        self,
        sql: str,
        params: Mapping[str, Any] | Sequence[Any] | None = None,
        truncate: bool = False,
        custom_time_limit: int | None = None,
        page_size: int | None = None,
        log_sql_errors: bool = True,
    ) -> Results:
        """The rows of ``sql``: with ``truncate`` as many as a page shows. See `Database.execute`.

        Other people's SQL is run in a process of its own. Raises QueryInterrupted or
        QueryRefusedError for what takes longer than it may or is larger.
        """
        limit_ms = min(custom_time_limit or self.ds.sql_time_limit_ms, self.ds.sql_time_limit_ms)
        most = self.ds.max_returned_rows + (self.ds.max_returned_rows == page_size)
        # A copy: Datasette's own mapping holds the whole request.
        given = dict(params.items()) if isinstance(params, Mapping) else params or {}
        question = SqlQuestion(sql, given, most + 1 if truncate else None, limit_ms / 1000)
        try:
            answer = await self._queries.answer(
                partial(self._asker.ask, question), limit_s=question.limit_s + GRACE_S + START_S
            )
        except sqlite3.OperationalError as error:
            if error.args == ("interrupted",):
                raise QueryInterrupted(error, sql, params) from error
            raise
        rows = answer.rows[:most] if truncate else answer.rows
        return Results(*_as_sqlite_has_them(answer.columns, rows, len(answer.rows) > most))

    def close(self) -> None:
        """Ends the processes that ran other people's SQL."""
        self._asker.close()

    async def hidden_table_names(self) -> list[str]:
        """What no page lists: our own version, and all that is not a plain table."""
        found = await self.execute(
            "SELECT name FROM pragma_table_list WHERE type IN ('virtual', 'shadow')"
        )
        return [VERSION_TABLE, *(name for (name,) in found.rows)]


def _as_sqlite_has_them(
    columns: tuple[str, ...], rows: list[tuple[Any, ...]], truncated: bool
) -> tuple[list[sqlite3.Row], bool, Any]:
    """Rows that are known by their columns' names, of which two may be the same."""
    names = ", ".join('NULL AS "{}"'.format(name.replace('"', '""')) for name in columns)
    with closing(sqlite3.connect(":memory:")) as nowhere:
        cursor = nowhere.execute(f"SELECT {names or 'NULL'}")
        return [sqlite3.Row(cursor, row) for row in rows], truncated, cursor.description
