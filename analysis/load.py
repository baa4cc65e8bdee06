"""Trials out of a database, as one typed DataFrame. Reads only.

Owns the reading trial by trial; `analysis.folded` reads many as one row, and what is made of
them is in `analysis.tables`. Rows are taken from the driver's own cursor in blocks and typed
as they come, so that a million trials cost the memory of their columns, not of a million
Python rows.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Connection, Select, column, select, table

from analysis.checked_columns import column_of
from analysis.connection import connected
from analysis.exceptions import SweepMissingError, UnknownChoiceError
from analysis.schema import (
    COUNT,
    ENVIRONMENT_COLUMNS,
    READABLE,
    SEEDS,
    TRIAL_COLUMNS,
    Kind,
    SweepKind,
    typed,
)
from analysis.sweeps import SweepRecord, read_sweeps

BLOCK_ROWS = 20_000  # small enough that a block's Python objects are reused by the next

TRIALS = table("trial", *(column(name) for name in TRIAL_COLUMNS))
ENVIRONMENTS = table("environment", column("id"), *(column(name) for name in ENVIRONMENT_COLUMNS))
_STEP = table("step", column("trial_id"))
_ALL_KINDS = frozenset(SweepKind)
_KINDS = {**READABLE, COUNT: Kind.INT, SEEDS: Kind.TEXT}


def load_trials(
    database: str,
    sweep: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    verdict: str | None = None,
    traced: bool = False,
    scored: bool = False,
    kinds: frozenset[SweepKind] = _ALL_KINDS,
) -> pd.DataFrame:
    """One row a trial, in the order of their ids, of one sweep or of all.

    Args:
        database: a file's path or any SQLAlchemy URL; SQLite files are opened read-only.
        sweep: a sweep's name; None for the trials of all of them.
        columns: names of `analysis.schema.READABLE`, environment columns among them; None
            for ``sweep`` and all of ``trial``.
        verdict: a verdict, for the trials that have it alone.
        traced: for the trials that have a row a step alone.
        scored: for the trials that have a score alone.
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
    with connected(database) as connection:
        query = select(*map(trial_column, names)).select_from(TRIALS).order_by(TRIALS.c.id)
        if any(name in ENVIRONMENT_COLUMNS for name in names):
            query = query.outerjoin(ENVIRONMENTS, ENVIRONMENTS.c.id == TRIALS.c.environment_id)
        if verdict is not None:
            query = query.where(TRIALS.c.verdict == verdict)
        if scored:
            query = query.where(TRIALS.c.score.is_not(None))
        if traced:
            query = query.where(TRIALS.c.id.in_(select(_STEP.c.trial_id)))
        return read_rows(connection, query, names, sweep, kinds)


def trial_column(name: str) -> ColumnElement[Any]:
    """The column behind one of `READABLE`: the sweep's id for what is of the sweep."""
    if name in ("sweep", "sweep_kind"):
        return TRIALS.c.sweep_id.label(name)
    return (ENVIRONMENTS if name in ENVIRONMENT_COLUMNS else TRIALS).c[name]


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
    sweeps = read_sweeps(connection)
    wanted = {key: record for key, record in sweeps.items() if sweep in (None, record.name)}
    if sweep is not None and not wanted:
        raise SweepMissingError(sweep, [record.name for record in sweeps.values()])
    wanted = {key: record for key, record in wanted.items() if record.kind in kinds}
    if len(wanted) < len(sweeps):
        query = query.where(TRIALS.c.sweep_id.in_(wanted))
    with closing(_blocks(connection, query)) as blocks:
        return _gathered(names, blocks, wanted)


def _blocks(
    connection: Connection, query: Select[Any]
) -> Generator[Sequence[tuple[Any, ...]], None, None]:
    """The rows as the driver's cursor gives them: SQLAlchemy's own rows take twice as long.

    What it compares columns with is written into it, quoted by SQLAlchemy.
    """
    literal = {"literal_binds": True}
    statement = str(query.compile(dialect=connection.dialect, compile_kwargs=literal))
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement)
        while block := cursor.fetchmany(BLOCK_ROWS):
            yield block


def _gathered(
    names: Sequence[str],
    blocks: Iterable[Sequence[tuple[Any, ...]]],
    sweeps: Mapping[int, SweepRecord],
) -> pd.DataFrame:
    """The rows of ``blocks`` as columns ``names``, of their kinds."""
    of_sweep = {
        "sweep": {key: record.name for key, record in sweeps.items()},
        "sweep_kind": {key: record.kind.value for key, record in sweeps.items()},
    }
    parts: dict[str, list[pd.Series]] = {name: [] for name in names}
    for block in blocks:
        for name, values in zip(names, zip(*block, strict=True), strict=True):
            given = _looked_up(of_sweep[name], values) if name in of_sweep else values
            parts[name].append(column_of(name, _KINDS[name], list(given)))
    return pd.DataFrame({name: _joined(name, found) for name, found in parts.items()}, copy=False)


def _looked_up(of_sweep: Mapping[int, str], numbers: Sequence[Any]) -> list[str]:
    """What the sweeps of these ids are. Raises ValueError for an id that none has."""
    lost = next((number for number in numbers if number not in of_sweep), None)
    if lost is not None or None in numbers:
        raise ValueError(f"sweep_id {lost!r:.40} is of no sweep")
    return [of_sweep[number] for number in numbers]


def _joined(name: str, parts: Sequence[pd.Series]) -> pd.Series:
    if not parts:
        return _of_kind(pd.Series([], dtype=object, name=name))
    if _KINDS[name] is Kind.WORD:
        return _of_kind(pd.Series(pd.api.types.union_categoricals(list(parts)), name=name))
    return _of_kind(pd.concat(parts, ignore_index=True).rename(name))


def _of_kind(values: pd.Series) -> pd.Series:
    frame = values.to_frame()
    if values.name in READABLE:
        return typed(frame)[values.name]
    return values.astype(_KINDS[str(values.name)].value)
