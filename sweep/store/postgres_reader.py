"""Queries on PostgreSQL that cannot change its data, whatever they say.

The query runs inside a transaction that began as READ ONLY and has read already, after which
the server lets nothing make it writable; and as the body of a cursor's declaration, which
takes a single SELECT and neither COPY nor DO nor COMMIT. A query that names a function which
the server calls volatile is refused, too: such functions end other sessions, write files, or
run text as SQL. What functions that a stranger hid in views and operators may do is for the
rights of the role to say: give people who only look a role that can only look.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sweep.store.failures import database_error, driver_missing, own_words, refused, timed_out
from sweep.store.revision import recorded_schema
from sweep.store.url import DatabaseUrl

if TYPE_CHECKING:
    import psycopg

_CONNECT_TIMEOUT_S = 10
_FETCHED = 2000  # rows at once

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


def query_postgres(
    url: DatabaseUrl, sql: str, timeout_s: float | None
) -> Generator[tuple[Any, ...]]:
    """The names of the columns of ``sql``, and then its rows; ends the query when it is closed.

    See `sweep.store.query.run_query` for what it raises.
    """
    deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
    with closing(_connect(url)) as connection:
        import psycopg

        try:
            recorded_schema(url, connection)  # and takes the snapshot that seals READ ONLY
            _check_functions(connection, sql)
            if timeout_s is not None:
                milliseconds = max(1, round(timeout_s * 1000))
                connection.execute(f"SET LOCAL statement_timeout = {milliseconds}")
            with connection.cursor(name="leaksweep") as cursor:
                cursor.execute(sql.encode())
                rows = cursor.fetchmany(_FETCHED)  # where most refusals show
                yield tuple(column.name for column in cursor.description or ())
                while rows:
                    yield from rows
                    if time.monotonic() > deadline:
                        raise timed_out(timeout_s or 0.0)
                    rows = cursor.fetchmany(_FETCHED)
        except (psycopg.Error, ValueError) as error:
            if isinstance(error, psycopg.errors.QueryCanceled) and timeout_s is not None:
                raise timed_out(timeout_s) from error
            if connection.broken:
                raise database_error(url, "read", error) from error
            raise refused(own_words(error)) from error


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
