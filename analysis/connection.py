"""Connections to the database that trials are read from. Reads only.

Owns what a URL or a path names, and what is done about files that cannot be trusted: opened
read-only, our tables plain ones, sizes bounded, and Ctrl-C heard within a query.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from analysis.exceptions import (
    DatabaseMissingError,
    MissingLibraryError,
    UnreadableDatabaseError,
)
from analysis.schema import ENVIRONMENT_COLUMNS, TRIAL_COLUMNS

_LARGEST = 512 * 1024 * 1024  # of one value: the lists of a folded frame are long
_LOOK_EVERY = 100_000  # SQLite's instructions, some milliseconds
_COLUMNS = {
    "trial": tuple(TRIAL_COLUMNS),
    "environment": ("id", *ENVIRONMENT_COLUMNS),
    "sweep": (),
    "step": ("score",),
}
_PLAIN = """
SELECT name FROM sqlite_master AS entry WHERE type = 'table' AND rootpage > 0
AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(entry.name) WHERE hidden > 1)
"""


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection that is closed afterwards; its errors come out as this package's own.

    All that is read through it is of one state of the database, whatever others write.
    """
    try:
        parsed = _parsed(url)
        engine = _engine(parsed)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise UnreadableDatabaseError("The database URL", "it is not a valid URL") from error
    except ModuleNotFoundError as error:
        raise MissingLibraryError("That database", str(error.name), "leaksweep[cluster]") from error
    try:
        with engine.connect() as connection:
            yield connection
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        if _code(error) == sqlite3.SQLITE_INTERRUPT:  # what a handler raised ends no more than that
            raise KeyboardInterrupt from error
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise _unreadable(parsed, reason) from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        reason = f"a column holds what is not of its kind ({str(error).splitlines()[0]:.80})"
        raise _unreadable(parsed, reason) from error
    finally:
        engine.dispose()


def _unreadable(url: URL, reason: str) -> UnreadableDatabaseError:
    """The error with every secret of ``url`` left out, whoever has put it into the reason."""
    shown = url.render_as_string(hide_password=False)
    secrets = [url.password, *(url.query.get(name) for name in ("password", "sslpassword"))]
    for secret in filter(None, secrets):
        for written in (str(secret), quote(str(secret)), quote_plus(str(secret))):
            shown, reason = shown.replace(written, "***"), reason.replace(written, "***")
    return UnreadableDatabaseError(shown, reason)


def _parsed(given: str | os.PathLike[str]) -> URL:
    """The URL; a path is taken as it stands, and a URL's ``%20`` for a blank."""
    text = given.strip() if isinstance(given, str) else os.fspath(given)
    scheme, is_url, rest = text.partition("://")
    if not is_url:
        return URL.create("sqlite", database=text)
    if scheme.lower() == "sqlite":
        return URL.create("sqlite", database=unquote(rest.removeprefix("/")))
    return make_url(text)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        engine = create_engine(url, isolation_level="REPEATABLE READ")
        return engine.execution_options(postgresql_readonly=True)
    if url.get_backend_name() != "sqlite":
        return create_engine(url)
    if not url.database or url.database == ":memory:":
        raise DatabaseMissingError("the SQLite URL, which names no file")
    path = Path(url.database)
    if path.is_dir():
        raise UnreadableDatabaseError(str(path), "it is a folder; name a file in it")
    if not path.is_file():
        raise DatabaseMissingError(str(path))
    return create_engine("sqlite://", creator=lambda: _opened(path))


def _opened(path: Path) -> sqlite3.Connection:
    address = path.resolve().as_uri()
    try:
        connection = _reading(f"{address}?mode=ro")
    except sqlite3.Error as error:
        if not _in_a_folder_that_cannot_be_written(path, error):
            raise
        connection = _reading(f"{address}?mode=ro&immutable=1")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST)
    connection.set_progress_handler(lambda: 0, _LOOK_EVERY)  # Python hears signals in it
    connection.execute("PRAGMA trusted_schema = OFF")  # views of strangers call nothing of ours
    connection.execute("BEGIN")  # what is seen first is seen to the end
    return connection


def _reading(address: str) -> sqlite3.Connection:
    """A connection whose tables are plain ones with all columns of today's schema.

    Raises sqlite3.DatabaseError where something else has the name of one.
    """
    connection = sqlite3.connect(address, uri=True)
    try:
        plain = {name for (name,) in connection.execute(_PLAIN)}
        for table, columns in _COLUMNS.items():
            if table not in plain:
                raise sqlite3.DatabaseError(f"it has no plain table {table}")
            _add_what_is_lacking(connection, table, columns)
    except BaseException:
        connection.close()
        raise
    return connection


def _add_what_is_lacking(
    connection: sqlite3.Connection, table: str, columns: tuple[str, ...]
) -> None:
    """Puts a view before a table of an older schema, with null in the columns that it lacks."""
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    there = {name for (name,) in found}
    lacking = ", ".join(f"NULL AS {name}" for name in columns if name not in there)
    if lacking:
        select = f"SELECT *, {lacking} FROM main.{table}"  # noqa: S608 names of ours
        connection.execute(f"CREATE TEMP VIEW {table} AS {select}")


def _in_a_folder_that_cannot_be_written(path: Path, error: sqlite3.Error) -> bool:
    """Whether the file can be read alone: nobody can be writing, and no log belongs to it.

    A database in WAL mode wants to put an index of its log beside itself.
    """
    log = path.with_name(f"{path.name}-wal")
    no_log = not log.exists() or log.stat().st_size == 0
    return no_log and _code(error) in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


def _code(error: BaseException) -> int:
    """SQLite's primary result code behind ``error``; 0 where there is none."""
    return (getattr(getattr(error, "orig", error), "sqlite_errorcode", None) or 0) & 0xFF
