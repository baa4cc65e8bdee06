"""Trials, sweeps and steps out of a database, as typed frames. Reads only.

Owns the reading trial by trial; `analysis.folded` reads many as one row, and what is made of
them is in `analysis.tables`. Rows are taken from the driver's own cursor in blocks and typed
as they come, so that a million trials cost the memory of their columns, not of a million
Python rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Connection, Select, column, func, select, table

from analysis.checked_columns import column_of
from analysis.connection import connected
from analysis.exceptions import SweepMissingError, UnknownChoiceError
from analysis.schema import (
    COUNT,
    ENVIRONMENT_COLUMNS,
    READABLE,
    SEEDS,
    SETTING_AXES,
    STEP_COLUMNS,
    SWEEP_COLUMNS,
    TRIAL_COLUMNS,
    Kind,
    SweepKind,
    typed,
)

BLOCK_ROWS = 20_000  # small enough that a block's Python objects are reused by the next

TRIALS = table("trial", *(column(name) for name in TRIAL_COLUMNS))
_ENVIRONMENTS = table("environment", column("id"), *map(column, ENVIRONMENT_COLUMNS))
_SWEEPS = table("sweep", *map(column, SWEEP_COLUMNS))
_STEPS = table("step", column("trial_id"), *map(column, STEP_COLUMNS))
_KINDS = {**STEP_COLUMNS, **READABLE, COUNT: Kind.INT, SEEDS: Kind.TEXT}
_ALL_KINDS = frozenset(SweepKind)
ONLY = MappingProxyType(
    {"failed": TRIALS.c.verdict == "failed", "scored": TRIALS.c.score.is_not(None)}
)
"""Trials that can be read alone: those that failed, and those that have a score."""


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
    """The sweeps of the database, oldest first; raises as `load_trials` does."""
    with connected(database) as connection:
        return list(_read_sweeps(connection).values())


def load_trials(
    database: str,
    sweep: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    only: str | None = None,
    kinds: frozenset[SweepKind] = _ALL_KINDS,
) -> pd.DataFrame:
    """One row a trial, in the order of their ids, of one sweep or of all.

    Args:
        database: a file's path or any SQLAlchemy URL; SQLite files are opened read-only.
        sweep: a sweep's name; None for the trials of all of them.
        columns: names of `analysis.schema.READABLE`, environment columns among them; None
            for ``sweep`` and all of ``trial``.
        only: a word of `ONLY`, for these trials alone.
        kinds: for the trials of sweeps of these kinds alone.

    Returns:
        Words as categories, numbers as float64 (null is NaN) and Int64, flags as nullable
        booleans, times in UTC, free text as strings; null stays null. A column that a
        database of an earlier schema lacks is null.

    Raises:
        DatabaseMissingError: there is no such file.
        UnreadableDatabaseError: it is not a database of this program.
        SweepMissingError: it has no sweep of that name.
        UnknownChoiceError: a column that does not exist.
        MissingLibraryError: the URL's driver is not installed.
    """
    names = list(columns) if columns is not None else ["sweep", *TRIAL_COLUMNS]
    for name in names:
        if name not in READABLE:
            raise UnknownChoiceError("column", name, tuple(READABLE))
    query = select(*map(trial_column, names)).select_from(TRIALS).order_by(TRIALS.c.id)
    if any(name in ENVIRONMENT_COLUMNS for name in names):
        query = query.outerjoin(_ENVIRONMENTS, _ENVIRONMENTS.c.id == TRIALS.c.environment_id)
    if only is not None:
        query = query.where(ONLY[only])
    with connected(database) as connection:
        return read_rows(connection, query, names, sweep, kinds)


def load_runs(database: str, sweep: str) -> pd.DataFrame:
    """What a sweep's trials ran with: a row for each environment and library of optimizers.

    Columns: those of ``environment``, ``optimizer_package``, ``count`` (the trials that ran
    with it), ``train_seconds`` (of all of them) and ``finished_at`` (the latest). Raises as
    `load_trials`.
    """
    alike = [_ENVIRONMENTS.c.id, TRIALS.c.optimizer_package]
    with_what = [*ENVIRONMENT_COLUMNS, "optimizer_package"]
    seconds, latest = func.sum(TRIALS.c.train_seconds), func.max(TRIALS.c.finished_at)
    query = (
        select(*map(trial_column, with_what), func.count(), seconds, latest)
        .outerjoin_from(TRIALS, _ENVIRONMENTS, _ENVIRONMENTS.c.id == TRIALS.c.environment_id)
        .group_by(*alike)
        .order_by(*alike)
    )
    names = [*with_what, COUNT, "train_seconds", "finished_at"]
    with connected(database) as connection:
        return read_rows(connection, query, names, sweep)


def load_steps(database: str, sweep: str) -> pd.DataFrame:
    """One row for each step of each traced trial of a sweep, by trial and step.

    Columns: ``id`` of the trial, those of ``step``, then ``sweep``, the axes and ``seed`` of
    the trial. Empty where nothing was traced. Raises as `load_trials`.
    """
    of_trial = ["sweep", *SETTING_AXES, "seed"]
    of_step = [_STEPS.c.trial_id, *(_STEPS.c[name] for name in STEP_COLUMNS)]
    query = (
        select(*of_step, *map(trial_column, of_trial))
        .join_from(_STEPS, TRIALS, TRIALS.c.id == _STEPS.c.trial_id)
        .order_by(_STEPS.c.trial_id, _STEPS.c.step)
    )
    with connected(database) as connection:
        steps = read_rows(connection, query, ["id", *STEP_COLUMNS, *of_trial], sweep)
        return steps.astype({"step": "int64", "frozen": "bool", "grad": "object", "moved": "bool"})


def trial_column(name: str) -> ColumnElement[Any]:
    """The column behind one of `READABLE`: the sweep's id for what is of the sweep."""
    if name in ("sweep", "sweep_kind"):
        return TRIALS.c.sweep_id.label(name)
    return (_ENVIRONMENTS if name in ENVIRONMENT_COLUMNS else TRIALS).c[name]


def read_rows(
    connection: Connection,
    query: Select[Any],
    names: Sequence[str],
    sweep: str | None,
    kinds: frozenset[SweepKind] = _ALL_KINDS,
) -> pd.DataFrame:
    """The rows of ``query`` over `TRIALS` as columns ``names``, of that sweep or of all.

    The query yields a sweep's id for its name and its kind, which spares a million look-ups
    in a join. Raises SweepMissingError.
    """
    sweeps = _read_sweeps(connection)
    wanted = {key: record for key, record in sweeps.items() if sweep in (None, record.name)}
    if sweep is not None and not wanted:
        raise SweepMissingError(sweep, [record.name for record in sweeps.values()])
    wanted = {key: record for key, record in wanted.items() if record.kind in kinds}
    if len(wanted) < len(sweeps):
        query = query.where(TRIALS.c.sweep_id.in_(wanted))
    of_sweep = {
        "sweep": {key: record.name for key, record in wanted.items()},
        "sweep_kind": {key: record.kind.value for key, record in wanted.items()},
    }
    # SQLAlchemy's own rows take twice as long as the cursor's. It writes what columns are
    # compared with into the statement, quoted.
    literal = {"literal_binds": True}
    statement = str(query.compile(dialect=connection.dialect, compile_kwargs=literal))
    parts: dict[str, list[pd.Series]] = {name: [] for name in names}
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement)
        while block := cursor.fetchmany(BLOCK_ROWS):
            for name, values in zip(names, zip(*block, strict=True), strict=True):
                given = _looked_up(of_sweep[name], values) if name in of_sweep else values
                parts[name].append(column_of(name, _KINDS[name], given))
    return typed(pd.DataFrame({name: _joined(name, found) for name, found in parts.items()}))


def _read_sweeps(connection: Connection) -> dict[int, SweepRecord]:
    """The sweeps by their ids, oldest first. Raises ValueError for what is not of its column."""
    rows = connection.execute(select(_SWEEPS).order_by(_SWEEPS.c.id)).all()
    for name, kind in SWEEP_COLUMNS.items():
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


def _looked_up(of_sweep: Mapping[int, str], numbers: Sequence[Any]) -> list[str]:
    """What the sweeps of these ids are. Raises ValueError for an id that none has."""
    lost = next((number for number in numbers if number not in of_sweep), None)
    if lost is not None or None in numbers:
        raise ValueError(f"sweep_id {lost!r:.40} is of no sweep")
    return [of_sweep[number] for number in numbers]


def _joined(name: str, parts: Sequence[pd.Series]) -> pd.Series:
    if not parts:
        return column_of(name, _KINDS[name], [])
    if _KINDS[name] is Kind.WORD:
        return pd.Series(pd.api.types.union_categoricals(list(parts)))
    return pd.concat(parts, ignore_index=True)
