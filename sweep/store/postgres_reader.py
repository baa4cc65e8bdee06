"""Queries on PostgreSQL that cannot change its data, whatever they say.

The query runs inside a transaction that began as READ ONLY and has read already, after which
the server lets nothing make it writable; and as the body of a cursor's declaration, which
takes a single SELECT and neither COPY nor DO nor COMMIT. A query that names a function which
the server calls volatile is refused, too: such functions end other sessions, write files, or
run text as SQL. What functions that a stranger hid in views and operators may do is for the
rights of the role to say: give people who only look a role that can only look.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sweep.errors import NotThereError
from sweep.store.failures import database_error, driver_missing, own_words
from sweep.store.result import FETCH, QueryResult, refused, timed_out
from sweep.store.revision import VERSION_TABLE, SchemaState, schema_state
from sweep.store.url import DatabaseUrl

if TYPE_CHECKING:
    import psycopg

_CONNECT_TIMEOUT_S = 10
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"

_WORD = re.compile(r'"((?:[^"]|"")*)"|([A-Za-z0-9_$\x80-\U0010ffff]+)')
_ESCAPED_NAME = re.compile(r'u&"', re.IGNORECASE)
_LONGEST_NAME = 63
_HARMLESS = ["random", "clock_timestamp", "timeofday", "gen_random_uuid", "pg_sleep", "system"] + [
    f"pg_{what}_size" for what in ("database", "relation", "table", "indexes", "total_relation")
]
_VOLATILE = """
SELECT proname FROM pg_proc
WHERE provolatile = 'v' AND proname = ANY(%s) AND NOT proname = ANY(%s) ORDER BY proname LIMIT 1
"""


def query_postgres(url: DatabaseUrl, sql: str, timeout_s: float | None) -> QueryResult:
    """The rows of ``sql``. See `sweep.store.query.run_query` for what it raises."""
    connection = _connect(url)
    try:
        _check_schema(url, connection)  # and takes the snapshot that seals READ ONLY
        _check_functions(connection, sql)
        rows = _Rows(url, connection, timeout_s)
    except BaseException:
        connection.close()
        raise
    try:
        rows.execute(sql)
    except BaseException:
        rows.close()
        raise
    return QueryResult(rows.columns, iter(rows), rows.close)


class _Rows:
    """The rows of one query, a chunk at a time, until the deadline."""

    def __init__(
        self, url: DatabaseUrl, connection: psycopg.Connection, timeout_s: float | None
    ) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._connection = connection
        self._cursor = connection.cursor(name="leaksweep")
        self._chunk: list[tuple[Any, ...]] = []
        if timeout_s is not None:
            milliseconds = max(1, round(timeout_s * 1000))
            connection.execute(f"SET LOCAL statement_timeout = {milliseconds}")
        self.columns: tuple[str, ...] = ()

    def execute(self, sql: str) -> None:
        """Starts the query and fetches the first rows, where most refusals show."""
        import psycopg

        try:
            self._cursor.execute(sql.encode())
        except (psycopg.Error, ValueError) as error:
            raise self._explain(error) from error
        self.columns = tuple(column.name for column in self._cursor.description or ())
        self._fetch()

    def close(self) -> None:
        """Ends the cursor and its connection, whose transaction is rolled back."""
        self._cursor.close()
        self._connection.close()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while self._chunk:
            yield from self._chunk
            self._fetch()

    def _fetch(self) -> None:
        import psycopg

        if self._deadline is not None and time.monotonic() > self._deadline:
            raise timed_out(self._timeout_s or 0.0)
        try:
            self._chunk = self._cursor.fetchmany(FETCH)
        except psycopg.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> Exception:
        import psycopg

        if isinstance(error, psycopg.errors.QueryCanceled) and self._timeout_s is not None:
            return timed_out(self._timeout_s)
        if self._connection.broken:
            return database_error(self._url, "read", error)
        return refused(own_words(error))


def _connect(url: DatabaseUrl) -> psycopg.Connection:
    try:
        import psycopg
    except ImportError as error:
        raise driver_missing(url) from error
    try:
        connection = psycopg.connect(url.libpq, connect_timeout=_CONNECT_TIMEOUT_S)
    except psycopg.Error as error:
        raise database_error(url, "read", error) from error
    connection.read_only = True
    return connection


def _check_schema(url: DatabaseUrl, connection: psycopg.Connection) -> None:
    """Raises NotThereError for a database without tables, DatabaseError for one not ours."""
    tables = [name for (name,) in connection.execute(_TABLES)]
    revision = None
    if VERSION_TABLE in tables:
        found = connection.execute(f"SELECT * FROM {VERSION_TABLE}").fetchone()  # noqa: S608
        revision = found[0] if found else None
    if schema_state(tables, revision, shown=url.shown) is SchemaState.EMPTY:
        raise NotThereError(f"{url.shown} holds no sweep yet; `leaksweep run` makes one.")


def _check_functions(connection: psycopg.Connection, sql: str) -> None:
    """Raises QueryRefusedError for a query in which the name of a volatile function stands.

    A name counts wherever it stands, in a text or a comment, too: reading SQL as the server
    does is for the server.
    """
    if _ESCAPED_NAME.search(sql):
        raise refused('it has a name written as U&"..."')
    found = connection.execute(_VOLATILE, [_names(sql), _HARMLESS]).fetchone()
    if found is not None:
        raise refused(f"{found[0]} is a function that may change something")


def _names(sql: str) -> list[str]:
    """Every word of ``sql`` that may be a function's name, as the server's catalog has it."""
    words = set()
    for match in _WORD.finditer(sql):
        quoted, bare = match.groups()
        words |= {bare, bare.lower()} if bare else {quoted.replace('""', '"')}
        words |= {word.lower() for word in re.findall(r"\w+", quoted or "")}
    shortened = (word.encode("utf-8", "replace")[:_LONGEST_NAME] for word in words)
    return [word.decode("utf-8", "ignore").replace("\0", "") for word in shortened]
