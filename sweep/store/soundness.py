"""Whether a SQLite file is whole, by SQLite's own check, before anything is written to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sweep.errors import DatabaseError, NotThereError
from sweep.store.failures import primary_code
from sweep.store.sqlite_query import query_sqlite
from sweep.store.sqlite_reader import MIB
from sweep.store.url import DatabaseUrl

_CHECKED_WHOLLY = 16 * MIB
"""Files up to this size are checked index by index, too: a quarter of a second at the most."""


def check_whole(url: DatabaseUrl) -> None:
    """Raises DatabaseError for a SQLite file that is damaged, and as `run_query` does.

    Reads all of the file: a second for a million trials. Of a large one the indexes are not
    compared with their tables, which would take ten times as long.
    """
    path = url.path
    if path is None or not path.is_file() or path.stat().st_size == 0:
        return
    said = "ok"
    with suppress(NotThereError), closing(query_sqlite(url, path, _check_of(path), None)) as rows:
        next(rows)  # the column's name
        said = str(next(rows)[0])
    if said != "ok":
        raise DatabaseError(
            f"{url.shown} is damaged: SQLite's own check says {said[:200]!r}. Nothing was written "
            f"to it. Restore a copy, or name another database with --db.",
            url=url.shown,
        )


def is_whole(path: Path, *, alone: bool = False) -> bool:
    """Whether the file there with its log, or ``alone``, is sound as it is at this moment.

    Raises sqlite3.Error where that cannot be told.
    """
    options = "mode=ro&immutable=1" if alone else "mode=ro"
    try:
        opened = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)
        with closing(opened) as connection:
            return bool(connection.execute(_check_of(path)).fetchone() == ("ok",))
    except sqlite3.DatabaseError as error:
        if primary_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return False
        raise


def _check_of(path: Path) -> str:
    name = "integrity_check" if path.stat().st_size <= _CHECKED_WHOLLY else "quick_check"
    return f"PRAGMA main.{name}(1)"
