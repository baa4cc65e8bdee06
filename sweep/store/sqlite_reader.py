"""Queries on a SQLite file that cannot change it, nor any other file, whatever they say.

Three locks, each enough alone for what most queries try: the file is opened read-only, the
connection is set to query_only, and SQLite asks `_authorize` about everything that a
statement would do before it runs.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sweep.errors import DatabaseError, NotThereError
from sweep.store.failures import database_error, own_words, primary_code
from sweep.store.result import FETCH, QueryResult, refused, timed_out
from sweep.store.revision import VERSION_TABLE, SchemaState, schema_state
from sweep.store.url import DatabaseUrl

_BUSY_TIMEOUT_S = 10.0
_INSTRUCTIONS_BETWEEN_LOOKS = 10_000

_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})
_PRAGMAS_ABOUT_A_NAME = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo"}
    | {"foreign_key_list", "integrity_check", "quick_check", "foreign_key_check"}
)
_PRAGMAS_WITHOUT_VALUE = frozenset(
    {"database_list", "collation_list", "function_list", "module_list", "pragma_list"}
    | {"compile_options", "encoding", "journal_mode", "page_count", "page_size"}
    | {"schema_version", "user_version", "application_id", "freelist_count", "foreign_keys"}
)
_FILE_ERRORS = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
    | {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
)


def query_sqlite(url: DatabaseUrl, path: Path, sql: str, timeout_s: float | None) -> QueryResult:
    """The rows of ``sql``. See `sweep.store.query.run_query` for what it raises."""
    connection = read_only_connection(url, path, timeout_s=timeout_s)
    try:
        cursor = _execute(url, connection, sql, timeout_s)
    except BaseException:
        connection.close()
        raise
    columns = tuple(name for name, *_ in cursor.description)
    return QueryResult(columns, _rows(url, cursor, timeout_s), connection.close)


def read_only_connection(
    url: DatabaseUrl, path: Path, *, timeout_s: float | None = None
) -> sqlite3.Connection:
    """A connection to our database at ``path`` behind all three locks; the caller closes it.

    Statements that run past ``timeout_s`` seconds from now are interrupted. Raises
    NotThereError where there is no database, and DatabaseError for one that cannot be read
    or is not of this program.
    """
    connection = _open(url, path)
    try:
        _lock_down(connection, timeout_s)
    except BaseException:
        connection.close()
        raise
    return connection


def _open(url: DatabaseUrl, path: Path) -> sqlite3.Connection:
    """A read-only connection to our database at ``path``; never creates the file."""
    if not path.exists():
        raise NotThereError(
            f"There is no database at {url.shown}. `leaksweep run` makes one; --db or LEAKSWEEP_DB "
            f"names another."
        )
    if path.is_dir():
        raise DatabaseError(f"{url.shown} is a folder; name a file in it.", url=url.shown)
    try:
        return _connect(url, path, "mode=ro")
    except sqlite3.Error as error:
        if not _unwritable_folder(path, error):
            raise database_error(url, "read", error) from error
    try:
        return _connect(url, path, "mode=ro&immutable=1")
    except sqlite3.Error as error:
        raise database_error(url, "read", error) from error


def _connect(url: DatabaseUrl, path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
    )
    try:
        _check_schema(url, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _unwritable_folder(path: Path, error: sqlite3.Error) -> bool:
    """Whether the file can be read alone: nobody can be writing, and no log belongs to it.

    A database in WAL mode wants to put an index of its log beside itself.
    """
    log = path.with_name(f"{path.name}-wal")
    no_log = not log.exists() or log.stat().st_size == 0
    return no_log and primary_code(error) in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


def _check_schema(url: DatabaseUrl, connection: sqlite3.Connection) -> None:
    """Raises NotThereError for a database without tables, DatabaseError for one not ours."""
    statement = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' "
    tables = [name for (name,) in connection.execute(f"{statement} ESCAPE '~'")]
    revision = None
    if VERSION_TABLE in tables:
        found = connection.execute(f"SELECT * FROM {VERSION_TABLE}").fetchone()  # noqa: S608
        revision = found[0] if found else None
    if schema_state(tables, revision, shown=url.shown) is SchemaState.EMPTY:
        raise NotThereError(f"{url.shown} holds no sweep yet; `leaksweep run` makes one.")


def _lock_down(connection: sqlite3.Connection, timeout_s: float | None) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.set_authorizer(_authorize)
    if timeout_s is not None:
        deadline = time.monotonic() + timeout_s
        connection.set_progress_handler(
            lambda: time.monotonic() > deadline, _INSTRUCTIONS_BETWEEN_LOOKS
        )


def _authorize(
    action: int, first: str | None, second: str | None, database: str | None, via: str | None
) -> int:
    """Whether a statement may do this: SQLITE_OK for what only reads, else SQLITE_DENY."""
    if action == sqlite3.SQLITE_FUNCTION:
        allowed = second not in _FORBIDDEN_FUNCTIONS
    elif action == sqlite3.SQLITE_PRAGMA:
        name = (first or "").lower()
        without_value = name in _PRAGMAS_WITHOUT_VALUE and second is None
        allowed = without_value or name in _PRAGMAS_ABOUT_A_NAME
    elif action == sqlite3.SQLITE_UPDATE:
        # Asked while json_each and its like declare themselves; CREATE also asks to INSERT.
        allowed = first == "sqlite_master"
    else:
        allowed = action in _ALLOWED
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _execute(
    url: DatabaseUrl, connection: sqlite3.Connection, sql: str, timeout_s: float | None
) -> sqlite3.Cursor:
    try:
        cursor = connection.execute(sql)
    # Some misuse of the module comes as a Warning, or as what Python raises for bad text.
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise _explain(url, error, timeout_s) from error
    if cursor.description is None:
        raise refused("it has no statement that returns rows")
    return cursor


def _rows(
    url: DatabaseUrl, cursor: sqlite3.Cursor, timeout_s: float | None
) -> Iterator[tuple[Any, ...]]:
    while True:
        try:
            rows = cursor.fetchmany(FETCH)
        except sqlite3.Error as error:
            raise _explain(url, error, timeout_s) from error
        if not rows:
            return
        yield from rows


def _explain(url: DatabaseUrl, error: Exception, timeout_s: float | None) -> Exception:
    code = primary_code(error)
    if code == sqlite3.SQLITE_INTERRUPT and timeout_s is not None:
        return timed_out(timeout_s)
    if code in _FILE_ERRORS:
        return database_error(url, "read", error)
    return refused(own_words(error))
