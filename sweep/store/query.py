"""Questions to the database that change nothing: a user's own SQL, and how far sweeps are.

Stands on `sweep.store`'s readers and imports neither torch nor SQLAlchemy: these commands
answer at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sweep.errors import NotThereError, nearest
from sweep.store.checked import checked
from sweep.store.postgres_reader import query_postgres
from sweep.store.result import QueryResult
from sweep.store.sqlite_query import query_sqlite
from sweep.store.url import parse_url

_STATUS = """
SELECT sweep.id, sweep.name, sweep.planned, sweep.created_at, counted.verdict, counted.trials
FROM sweep LEFT JOIN
    (SELECT sweep_id, verdict, count(*) AS trials FROM trial GROUP BY sweep_id, verdict) AS counted
    ON counted.sweep_id = sweep.id
ORDER BY sweep.id
"""
_FIRST_LEAK = "SELECT min(id) FROM trial WHERE verdict = 'leaks' AND sweep_id = {sweep:d}"


@dataclass(frozen=True, slots=True)
class SweepStatus:
    """How far a sweep is, in trials: planned = leaks + holds + inert + failed + remaining.

    After a grid was recorded anew with fewer points, what is recorded may exceed ``planned``;
    ``remaining`` is 0 then. ``id`` is the sweep's in the database.
    """

    id: int
    name: str
    planned: int
    created_at: datetime
    leaks: int = 0
    holds: int = 0
    inert: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        """Trials that ended with a verdict other than failed."""
        return self.leaks + self.holds + self.inert

    @property
    def remaining(self) -> int:
        """Trials that have not been recorded, as failed or otherwise."""
        return max(0, self.planned - self.done - self.failed)


def run_query(url: str, sql: str, *, timeout_s: float | None = None) -> QueryResult:
    """The rows that ``sql`` reads from the database at ``url``.

    Raises QueryRefusedError, in the database's own words, for a query that would write, that
    is more than one statement, that the database rejects, or that runs for more than
    ``timeout_s`` seconds; NotThereError where there is no database; DatabaseError for one
    that cannot be read or is not of this program.
    """
    database = parse_url(url)
    if database.path is not None:
        return query_sqlite(database, database.path, sql, timeout_s)
    return query_postgres(database, sql, timeout_s)


def sweep_status(url: str, name: str | None = None) -> list[SweepStatus]:
    """How far each sweep is, oldest first; with ``name``, that one alone.

    Raises NotThereError for a name that no sweep has, with the nearest ones, and what
    `run_query` raises.
    """
    statuses = _all_statuses(url)
    if name is None:
        return list(statuses.values())
    if name not in statuses:
        raise NotThereError(no_such_sweep(name, list(statuses)))
    return [statuses[name]]


def sweep_id(url: str, name: str) -> int:
    """The id of the sweep of that name. Raises as `sweep_status` does."""
    return sweep_status(url, name)[0].id


def first_leak(url: str, name: str) -> int | None:
    """The first trial of the sweep that leaks; None if none does. Raises as `sweep_id` does."""
    with run_query(url, _FIRST_LEAK.format(sweep=sweep_id(url, name))) as found:
        first: int | None = next(iter(found))[0]
    return first


def _all_statuses(url: str) -> dict[str, SweepStatus]:
    counts: dict[str, dict[str, int]] = {}
    sweeps: dict[str, tuple[int, int, datetime]] = {}
    value = partial(checked, nullable=False, shown=parse_url(url).shown)
    with run_query(url, _STATUS) as rows:
        for number, name, planned, created_at, verdict, trials in rows:
            name = value(name, str, "sweep.name")
            created = value(created_at, datetime, "sweep.created_at")
            sweeps[name] = (number, value(planned, int, "sweep.planned"), created)
            counts.setdefault(name, {})
            if verdict is not None:
                counts[name][value(verdict, str, "trial.verdict")] = trials
    return {
        name: SweepStatus(number, name, planned, created_at, **counts[name])
        for name, (number, planned, created_at) in sweeps.items()
    }


def no_such_sweep(name: str, known: Sequence[str]) -> str:
    """What to say to a name that none of the ``known`` sweeps has."""
    close = nearest(name, known)
    if close:
        return f"There is no sweep {name!r}. Did you mean {' or '.join(map(repr, close))}?"
    listed = ", ".join(map(repr, known[:12])) or "none yet; `leaksweep run` makes one"
    listed += f" and {len(known) - 12:,} more" if len(known) > 12 else ""
    return f"There is no sweep {name!r}. Sweeps in this database: {listed}."
