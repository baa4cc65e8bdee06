"""Questions to the database that change nothing: a user's own SQL, and how far sweeps are.

Stands on `sweep.store`'s readers and imports neither torch nor SQLAlchemy: these commands
answer at once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from sweep.errors import NotThereError, nearest
from sweep.store.checked import checked
from sweep.store.postgres_reader import query_postgres
from sweep.store.sqlite_query import query_sqlite
from sweep.store.url import parse_url

if TYPE_CHECKING:
    from sweep.store.models import Base

_STATUS = """
SELECT sweep.id, sweep.name, sweep.planned, sweep.created_at, counted.verdict, counted.trials
FROM sweep LEFT JOIN
    (SELECT sweep_id, verdict, count(*) AS trials FROM trial GROUP BY sweep_id, verdict) AS counted
    ON counted.sweep_id = sweep.id
ORDER BY sweep.id
"""
_FIRST_LEAK = "SELECT min(id) FROM trial WHERE verdict = 'leaks' AND sweep_id = {sweep:d}"


class QueryResult:
    """The rows of a query, fetched as they are read; a context manager that lets go of them.

    Iterating raises QueryRefusedError where the database gives up half way.

    Attributes:
        columns: the names of the columns, in order; they may repeat.
    """

    def __init__(self, rows: Generator[tuple[Any, ...]]) -> None:
        """``rows`` gives the names of the columns first, and ends the query when it is closed."""
        self.columns: tuple[str, ...] = next(rows)
        self._rows = rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the query and its connection; rows not read yet are gone."""
        self._rows.close()


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
        return QueryResult(query_sqlite(database, database.path, sql, timeout_s))
    return QueryResult(query_postgres(database, sql, timeout_s))


def checked_rows(
    url: str,
    model: type[Base],
    columns: Sequence[str] = (),
    *,
    where: str = "true",
    order: str = "1, 2",
) -> Iterator[dict[str, Any]]:
    """The rows of a table by the names of their ``columns``, or of all of them.

    The database may be of anybody's making. Flags are booleans and times in UTC, whichever has
    them. Reads only. Raises DatabaseError for a value that this program does not write there,
    and as `run_query` does.
    """
    table, shown = model.metadata.tables[model.__tablename__], parse_url(url).shown
    chosen = [table.columns[name] for name in columns or table.columns.keys()]
    # Qualified, as PostgreSQL has a word `freeze`.
    names = ", ".join(f"{table.name}.{column.name}" for column in chosen)
    query = f"SELECT {names} FROM {table.name} WHERE {where} ORDER BY {order}"  # noqa: S608 names of ours
    kinds = [(c.name, c.type.python_type, bool(c.nullable)) for c in chosen]
    with run_query(url, query) as found:
        for values in found:
            yield {
                name: checked(value, kind, f"{table.name}.{name}", nullable=nullable, shown=shown)
                for (name, kind, nullable), value in zip(kinds, values, strict=True)
            }


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
