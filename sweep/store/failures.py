"""What a database's own error means to the person who sees it.

Imports neither SQLAlchemy nor a driver: errors are told apart by what they carry, so that
commands which only read can ask, too.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import MappingProxyType

from sweep.errors import DatabaseError, QueryRefusedError
from sweep.store.url import DatabaseUrl, without_secrets

_SQLITE = MappingProxyType(
    {
        sqlite3.SQLITE_BUSY: "it stayed locked by another program. Let that one finish, and "
        "give the same command again",
        sqlite3.SQLITE_FULL: "the disk is full. Make room, and give the same command again; "
        "what was committed is kept",
        sqlite3.SQLITE_READONLY: "it, or its folder, cannot be written to. Allow that, or name "
        "another database with --db",
        sqlite3.SQLITE_CANTOPEN: "it cannot be opened. Look at the path and its permissions",
        sqlite3.SQLITE_NOTADB: "that file is no SQLite database. Name another one with --db",
        sqlite3.SQLITE_CORRUPT: "the file is damaged. Restore a copy, or name another database "
        "with --db",
        sqlite3.SQLITE_IOERR: "the disk failed or is full; what was committed is kept",
    }
)


def database_error(url: DatabaseUrl, doing: str, error: BaseException) -> DatabaseError:
    """``error``, met while ``doing`` something, as the exception that a user sees.

    ``doing`` completes "Cannot ...". The database's own words are kept, passwords are not.
    """
    words = without_secrets(own_words(error), url)
    reason = _SQLITE.get(primary_code(error))
    explained = f"{reason} ({words})" if reason else words
    return DatabaseError(f"Cannot {doing} {url.shown}: {explained}.", url=url.shown)


def check_is_file(url: DatabaseUrl, path: Path) -> None:
    """Raises DatabaseError where something else than a file has its name: opening it may hang."""
    if path.is_dir():
        raise DatabaseError(f"{url.shown} is a folder; name a file in it.", url=url.shown)
    if path.exists() and not path.is_file():
        message = f"{url.shown} is no file but a pipe, a socket or a device; name a file."
        raise DatabaseError(message, url=url.shown)


def driver_missing(url: DatabaseUrl) -> DatabaseError:
    """What to say where psycopg is not installed."""
    return DatabaseError(
        f"{url.shown} needs psycopg, which is not installed: pip install 'leaksweep[cluster]'.",
        url=url.shown,
    )


def refused(words: str) -> QueryRefusedError:
    """The exception for a query that the database would not run, in its own words."""
    return QueryRefusedError(
        f"The database refused the query: {words}. One statement is taken, and it can only read."
    )


def timed_out(timeout_s: float) -> QueryRefusedError:
    """The exception for a query that was still running after ``timeout_s`` seconds."""
    return QueryRefusedError(f"The query was stopped: it ran for more than {timeout_s:g} seconds.")


def own_words(error: BaseException) -> str:
    """The first line of what the database said, without what SQLAlchemy adds to it."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code behind ``error``; 0 where there is none."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return (code or 0) & 0xFF
