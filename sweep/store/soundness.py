"""Whether a SQLite file is sound, and still the one that was opened, with its log.

A damaged file is not written to. And a backup that is copied or moved over a database in the
middle of a run, or a log that somebody deletes, would take what is written from then on with it;
the log that is left would be applied to a file that it is not of.

Nothing here opens the file but SQLite: when a process closes a file, the system takes all of its
locks on it away, SQLite's own among them.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import DatabaseError, NotThereError
from sweep.store.failures import primary_code
from sweep.store.sqlite_query import query_sqlite
from sweep.store.sqlite_reader import MIB
from sweep.store.url import DatabaseUrl

_CHECKED_WHOLLY = 16 * MIB
"""Files up to this size are checked index by index, too: a quarter of a second at the most."""

_ENDINGS = ("", "-wal", "-shm")
_SETTLED_S = 0.2
_CONTENTS = (
    "PRAGMA page_count",
    "PRAGMA freelist_count",
    "SELECT max(id) FROM trial",
    "SELECT count(*), max(created_at) FROM sweep",
)


def check_one_name(url: DatabaseUrl) -> None:
    """Raises DatabaseError for a file that has two names: each would have a log of its own."""
    if url.path is not None and url.path.is_file() and (names := url.path.stat().st_nlink) > 1:
        raise DatabaseError(
            f"{url.shown} has {names} names (hard links), and what is written by one would be "
            f"lost to those who use another. Copy it, and write to the copy.",
            url=url.shown,
        )


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
    try:
        with closing(_opened(path, "mode=ro&immutable=1" if alone else "mode=ro")) as connection:
            return bool(connection.execute(_check_of(path)).fetchone() == ("ok",))
    except sqlite3.DatabaseError as error:
        if primary_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return False
        raise


def _check_of(path: Path) -> str:
    name = "integrity_check" if path.stat().st_size <= _CHECKED_WHOLLY else "quick_check"
    return f"PRAGMA main.{name}(1)"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A database at one moment.

    Attributes:
        stamp: the size of its file, and the time of the last change.
        version: changes with every commit.
        alone: what the file holds without its log, as `_contents` says it.
        whole: what it holds with it.
    """

    stamp: tuple[int, int] | None
    version: int
    alone: object
    whole: object


class SameFile:
    """The SQLite file at ``url`` with its log, as they were when it was opened."""

    def __init__(self, url: DatabaseUrl) -> None:
        self._url = url
        self._opened = {} if url.path is None else _numbers(url.path)
        self._look = None if url.path is None else _opened(url.path, "mode=ro")
        self._seen: _Seen | None = None
        self.told = False
        """Whether `check` has raised already."""
        self.note()

    def close(self) -> None:
        """Lets go of the file."""
        if self._look is not None:
            self._look.close()

    def note(self) -> None:
        """Takes the file as it is now for what this program made of it."""
        path, look, seen = self._url.path, self._look, self._seen
        if path is None or look is None:
            return
        stamp, version = _stamp(path), _version(look)
        same = seen is not None and seen.stamp == stamp
        alone = seen.alone if seen is not None and same else _alone(path)
        self._seen = _Seen(stamp, version, alone, _contents(look))

    @property
    def is_elsewhere(self) -> bool:
        """Whether the path names another file by now, or none."""
        path = self._url.path
        return path is not None and _numbers(path).get("") != self._opened.get("")

    def check(self) -> None:
        """Raises DatabaseError where the path names another file or log by now, or none.

        Also where something else than SQLite has written to the file; the log is then emptied,
        as it would damage what is there now.
        """
        path = self._url.path
        if path is None:
            return
        if self.is_elsewhere:
            raise self._error(
                "is no longer the file that was opened: somebody moved, replaced or deleted it. "
                "What was recorded before that is in the file that was; nothing is written to "
                "the one that is there now"
            )
        check_one_name(self._url)
        if _numbers(path) != self._opened:
            raise self._error(
                "is no longer with the log that was opened (-wal, -shm): somebody deleted or "
                "replaced it. What was recorded before that is kept unless another program has "
                "written meanwhile"
            )
        if self._seen is not None and self._look is not None and _stamp(path) != self._seen.stamp:
            self._check_contents(path, self._look, self._seen)

    def _check_contents(self, path: Path, look: sqlite3.Connection, seen: _Seen) -> None:
        if _version(look) != seen.version:
            return self.note()  # another driver has written, and folds the log into the file
        before = None
        while before != (before := _stamp(path)):
            time.sleep(_SETTLED_S)  # a copy is being made
        is_sound = not _is_overwritten(path, seen) and is_whole(path)
        if is_sound or _version(look) != seen.version:
            return self.note()  # the log was folded, or nothing but the time has changed
        if is_whole(path, alone=True):
            os.truncate(_beside(path, "-wal"), 0)
        raise self._error(
            "was written over by something else than SQLite, as where a backup is copied onto "
            "it. It is left as it is now, and what this run recorded went with what was there "
            "before"
        )

    def _error(self, what: str) -> DatabaseError:
        self.told = True
        shown = self._url.shown
        message = f"{shown} {what}. Give the same command again to go on with what is there."
        return DatabaseError(message, url=shown)


def _is_overwritten(path: Path, seen: _Seen) -> bool:
    """Whether the file alone holds what no folding of its log can have made of it.

    SQLite's index of the log says how much of it was folded: https://sqlite.org/walformat.html.
    Another process reads that, for the sake of this one's locks. Where only a part was, this
    cannot be told.
    """
    read = "import sys; print(open(sys.argv[1], 'rb').read(132).hex())"
    words = [sys.executable, "-ISc", read, str(_beside(path, "-shm"))]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout  # noqa: S603 ours
    try:
        frames, folded, begun = struct.unpack("=16xI76xI28xI", bytes.fromhex(said))
    except (ValueError, struct.error):  # no such log
        return False
    if begun == 0:
        return _alone(path) != seen.alone
    return bool(folded == frames) and _alone(path) != seen.whole


def _opened(path: Path, options: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?{options}"
    return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)


def _alone(path: Path) -> object:
    """The `_contents` of the file without its log; None for a wreck."""
    try:
        with closing(_opened(path, "mode=ro&immutable=1")) as connection:
            return _contents(connection)
    except sqlite3.Error:
        return None


def _contents(connection: sqlite3.Connection) -> object:
    """Something that two databases hardly share."""
    return [connection.execute(query).fetchone() for query in _CONTENTS]


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def _numbers(path: Path) -> dict[str, tuple[int, int]]:
    """Device and number of the file and of what SQLite keeps beside it, by their endings."""
    found = {}
    for ending in _ENDINGS:
        with suppress(OSError):
            stat = _beside(path, ending).stat()
            found[ending] = (stat.st_dev, stat.st_ino)
    return found


def _stamp(path: Path) -> tuple[int, int] | None:
    """The size and the time of the last change; None where there is no such file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}{ending}")
