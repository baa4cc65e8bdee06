"""Connections to a SQLite file that cannot change it, nor any other file, whatever is asked.

Three locks, each enough alone for what most queries try: the file is opened read-only, the
connection is set to query_only, and SQLite asks `_authorize` about everything that a
statement would do before it runs. Sizes are bounded, and our tables have to be tables: a
view or a virtual table in their place could run for ever.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from sweep.errors import NotThereError
from sweep.store.failures import check_is_file, database_error, primary_code
from sweep.store.revision import SchemaState, as_today, recorded_schema
from sweep.store.url import DatabaseUrl

MIB = 1024 * 1024
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 16 * MIB,  # of a text, or of a blob
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: MIB,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
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


def read_only_connection(
    url: DatabaseUrl, path: Path, *, timeout_s: float | None = None
) -> sqlite3.Connection:
    """A connection to our database at ``path`` behind all three locks; the caller closes it.

    It may be used by one thread after another. Statements that run past ``timeout_s`` seconds
    from now are interrupted. A database of an older schema is seen as one of today's, with null
    in what it lacks. Raises NotThereError where there is no database, and DatabaseError for one
    that cannot be read or is not of this program.
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
    check_is_file(url, path)
    try:
        try:
            return _connect(url, path, "mode=ro")
        except sqlite3.Error as error:
            if not _unwritable_folder(path, error):
                raise
            return _connect(url, path, "mode=ro&immutable=1")
    except sqlite3.Error as error:
        raise database_error(url, "read", error) from error


def _connect(url: DatabaseUrl, path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if recorded_schema(url, connection) is SchemaState.OLDER:
            as_today(connection)
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


def _lock_down(connection: sqlite3.Connection, timeout_s: float | None) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.set_authorizer(_authorize)
    for limit, most in _LIMITS.items():
        connection.setlimit(limit, most)
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
