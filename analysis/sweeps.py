"""Sweeps, runs and steps out of a database: what `analysis.load` does for trials. Reads only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, column, select, table

from analysis.checked_columns import column_of
from analysis.connection import connected
from analysis.schema import Kind, SweepKind

_KINDS = {
    "id": Kind.INT,
    "name": Kind.TEXT,
    "spec": Kind.TEXT,
    "planned": Kind.INT,
    "created_at": Kind.TIME,
}
_SWEEP = table("sweep", *(column(name) for name in _KINDS))


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """A row of ``sweep``.

    Attributes:
        name: the name that commands know it by.
        kind: what it is.
        spec: its grid, and how it was searched or watched, as JSON.
        planned: the trials planned.
        created_at: when it was made, to the minute.
    """

    name: str
    kind: SweepKind
    spec: str
    planned: int
    created_at: str

    @property
    def read(self) -> dict[str, Any]:
        """The spec as plain values."""
        found: dict[str, Any] = json.loads(self.spec)
        return found


def load_sweeps(database: str) -> list[SweepRecord]:
    """The sweeps of the database, oldest first; raises as `analysis.load.load_trials` does."""
    with connected(database) as connection:
        return list(read_sweeps(connection).values())


def read_sweeps(connection: Connection) -> dict[int, SweepRecord]:
    """The sweeps by their ids, oldest first. Raises ValueError for what is not of its column."""
    rows = connection.execute(select(_SWEEP).order_by(_SWEEP.c.id)).all()
    for name, kind in _KINDS.items():
        column_of(name, kind, [getattr(row, name) for row in rows])  # raises for what is no such
    return {row.id: _record(row) for row in rows}


def _record(row: Any) -> SweepRecord:
    try:
        read = json.loads(row.spec)
        grids, options = read.get("grid", []), read.get("options", {})
        tables = [*grids, options, *options.values(), read.get("search", {})]
        kind = SweepKind(read.get("kind", SweepKind.GRID))
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not all(isinstance(each, dict) for each in tables):
        raise ValueError("a spec with what is no table")
    return SweepRecord(row.name, kind, row.spec, row.planned, str(row.created_at)[:16])
