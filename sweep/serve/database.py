"""The database as Datasette sees it: through connections that cannot write.

Datasette opens files read-only by itself, but from an address in which a ``#`` or ``%`` of
the file's name has another meaning, and it keeps its connections. Here each look opens the
file anew, behind the locks that `leaksweep sql` has: a file that is replaced while the page
is open is read as it then is.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from datasette.database import Database

from sweep.errors import QueryRefusedError
from sweep.store.sqlite_reader import read_only_connection
from sweep.store.url import DatabaseUrl

_Found = TypeVar("_Found")


class ReadOnlyDatabase(Database):  # type: ignore[misc]  # Datasette has no types
    """The SQLite file at ``path``, which ``url`` names, for reading alone."""

    def __init__(self, datasette: Any, url: DatabaseUrl, path: Path) -> None:
        # Mutable says: it may change under us, so do not open it as immutable or keep counts.
        super().__init__(datasette, path=str(path), is_mutable=True)
        self._url = url
        self._file = path

    def connect(self, write: bool = False) -> sqlite3.Connection:
        """A connection that the caller closes.

        Raises QueryRefusedError for one that could write, and what `read_only_connection`
        raises.
        """
        if write:
            raise QueryRefusedError(f"{self._url.shown} is open for reading only.")
        connection = read_only_connection(self._url, self._file)
        connection.row_factory = sqlite3.Row
        return connection

    async def execute_fn(self, fn: Callable[[sqlite3.Connection], _Found]) -> _Found:
        """What ``fn`` returns for a connection of its own, in a thread of its own."""
        return await asyncio.to_thread(self._with_connection, fn)

    def _with_connection(self, fn: Callable[[sqlite3.Connection], _Found]) -> _Found:
        with closing(self.connect()) as connection:
            return fn(connection)
