"""What goes on in a sweep at the moment: who runs it, how fast, and what came last.

A driver holds a lock for as long as it runs, which the system lets go of when the driver ends,
however it ends: so nothing in the database says that a killed run goes on. The lock of a SQLite
database is on an empty file beside it, which the last driver removes; a killed one leaves the
file, and no lock. PostgreSQL has locks of its own for this.

Imports no SQLAlchemy, so that `leaksweep status` answers at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sweep.store.checked import checked
from sweep.store.query import run_query
from sweep.store.url import DatabaseUrl, parse_url

if TYPE_CHECKING:
    from sqlalchemy import Engine

try:
    import fcntl
except ImportError:  # Windows, which has no such locks
    fcntl = None  # type: ignore[assignment]

_LOCKS = 0x6C65616C  # any number that no other program on the server uses
_HOLD = f"SELECT pg_advisory_lock_shared({_LOCKS}, {{sweep:d}})"
_HELD = f"""
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = {_LOCKS} AND objid = {{sweep:d}}
"""  # noqa: S608 a constant

RECENT = timedelta(minutes=10)
_LATEST = """
SELECT finished_at FROM trial WHERE sweep_id = {sweep:d} ORDER BY id DESC LIMIT 500
"""


@dataclass(frozen=True, slots=True)
class Activity:
    """What goes on in a sweep.

    Attributes:
        running: whether a driver runs it; None where the system cannot tell.
        last_at: when the last of the trials that were added last finished; None without any.
        a_second: trials that finished in a second, over the last 500 of `RECENT` before that;
            None for fewer than two.
    """

    running: bool | None
    last_at: datetime | None
    a_second: float | None


def activity(url: str, sweep_id: int) -> Activity:
    """What goes on in the sweep with that id. Reads only; raises as `sweep_status` does."""
    database = parse_url(url)
    moment = partial(checked, kind=datetime, column="trial.finished_at", nullable=False)
    with run_query(url, _LATEST.format(sweep=sweep_id)) as rows:
        finished = sorted(moment(value, shown=database.shown) for (value,) in rows)
    recent = [each for each in finished if each >= finished[-1] - RECENT]
    seconds = (recent[-1] - recent[0]).total_seconds() if recent else 0.0
    return Activity(
        running=is_running(database, sweep_id),
        last_at=recent[-1] if recent else None,
        a_second=(len(recent) - 1) / seconds if seconds else None,
    )


@contextmanager
def present(url: DatabaseUrl, engine: Engine, sweep_id: int) -> Iterator[None]:
    """Says that the sweep is being run, until its body ends. Several drivers may at once."""
    if url.path is None:
        with engine.connect() as connection:
            connection.exec_driver_sql(_HOLD.format(sweep=sweep_id))
            yield  # the lock goes with the connection's session, which the pool must not keep
            connection.invalidate()
        return
    lock = _taken(_lock_of(url.path, sweep_id))
    try:
        yield
    finally:
        if lock is not None:
            _let_go(lock)


def is_running(url: DatabaseUrl, sweep_id: int) -> bool | None:
    """Whether a driver runs the sweep; None where the system cannot tell. Reads only."""
    if url.path is None:
        with run_query(url.text, _HELD.format(sweep=sweep_id)) as found:
            return any(count for (count,) in found)
    if fcntl is None:
        return None
    try:
        with _lock_of(url.path, sweep_id).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def _lock_of(path: Path, sweep_id: int) -> Path:
    return path.with_name(f"{path.name}-running-{sweep_id}")


def _taken(path: Path) -> IO[bytes] | None:
    """The open file with the lock on it; None where there cannot be one, which stops no run."""
    if fcntl is None:
        return None
    with suppress(OSError):
        while True:
            lock = path.open("ab")
            fcntl.flock(lock, fcntl.LOCK_SH)
            if _is_at(path, lock):
                return lock
            lock.close()  # the last driver before has just removed it
    return None


def _let_go(lock: IO[bytes]) -> None:
    """Lets go of the lock, and removes the file if nobody else holds it."""
    with suppress(OSError), lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(lock.name)


def _is_at(path: Path, lock: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(lock.fileno()))
    except FileNotFoundError:
        return False
