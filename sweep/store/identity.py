"""Whether the file that is written to is still the one that its path names.

A backup that is copied or moved over a database in the middle of a run, or a log that somebody
deletes, would take what is written from then on with it.
"""

from __future__ import annotations

import os
from pathlib import Path

from sweep.errors import DatabaseError
from sweep.store.url import DatabaseUrl


class SameFile:
    """The SQLite file at ``url``, known by device and number since it was opened."""

    def __init__(self, url: DatabaseUrl) -> None:
        """Raises DatabaseError for a file that has two names: each would have a log of its own."""
        self._url = url
        self._opened = None if url.path is None else url.path.stat()
        if self._opened is not None and self._opened.st_nlink > 1:
            raise DatabaseError(
                f"{url.shown} has {self._opened.st_nlink} names (hard links), and what is written "
                f"by one would be lost to those who use another. Copy it, and write to the copy.",
                url=url.shown,
            )

    def check(self) -> None:
        """Raises DatabaseError where the path names another file by now, or none."""
        path = self._url.path
        if path is None or self._opened is None or _is_still(path, self._opened):
            return
        raise DatabaseError(
            f"{self._url.shown} is no longer the file that was opened: somebody moved, replaced "
            f"or deleted it. What was recorded before that is in the file that was; nothing is "
            f"written to the one that is there now. Give the same command again to go on with it.",
            url=self._url.shown,
        )


def _is_still(path: Path, opened: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), opened)
    except OSError:
        return False
