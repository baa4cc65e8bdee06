"""Trials out of a database, as one typed DataFrame. Reads only.

Owns the reading trial by trial; `analysis.folded` reads many as one row, and what is made of
them is in `analysis.tables`. Rows are taken from the driver's own cursor in blocks and encoded
as they come, so that a million trials cost the memory of their columns, not of a million
Python rows.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Select, column, select, table

from analysis.connection import connected
from analysis.exceptions import SweepMissingError, UnknownChoiceError
from analysis.gather import gathered
from analysis.schema import COLUMNS, ENVIRONMENT, TRIAL

BLOCK_ROWS = 20_000  # small enough that a block's Python objects are reused by the next

TRIALS = table("trial", *(column(name) for name in TRIAL))
ENVIRONMENTS = table("environment", column("id"), *(column(name) for name in ENVIRONMENT))
_SWEEP = table("sweep", column("id"), column("name"))
_STEP = table("step", column("trial_id"))


def load_trials(
    url: str,
    sweep: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    verdict: str | None = None,
    traced: bool = False,
) -> pd.DataFrame:
    """One row a trial, in the order of their ids, of one sweep or of all.

    Args:
        url: any SQLAlchemy URL, or a path; SQLite files are opened read-only.
        sweep: a sweep's name; None for the trials of all of them.
        columns: names of `analysis.schema.COLUMNS`, environment columns among them; None
            for ``sweep`` and all of ``trial``.
        verdict: a verdict, for the trials that have it alone.
        traced: for the trials that have a row a step alone.

    Returns:
        Words as categories, numbers as float64 (null is NaN) and Int64, flags as nullable
        booleans, times in UTC, free text as strings; null stays null.

    Raises:
        DatabaseMissingError: there is no such file.
        UnreadableDatabaseError: it is not a database of this program.
        SweepMissingError: it has no sweep of that name.
        UnknownChoiceError: a column that does not exist.
        MissingLibraryError: the URL's driver is not installed.
    """
    names = list(columns) if columns is not None else ["sweep", *TRIAL]
    for name in names:
        if name not in COLUMNS:
            raise UnknownChoiceError("column", name, tuple(COLUMNS))
    with connected(url) as connection:
        query = _query(names, verdict).order_by(TRIALS.c.id)
        if traced:
            query = query.where(TRIALS.c.id.in_(select(_STEP.c.trial_id)))
        return read_rows(connection, query, names, sweep)


def sweep_names(url: str) -> list[str]:
    """The names of the sweeps in the database, oldest first; raises as `load_trials` does."""
    with connected(url) as connection:
        return list(_sweep_names(connection).values())


def _query(names: Sequence[str], verdict: str | None) -> Select[Any]:
    """The statement that yields ``names`` of the trials, joining only what they need."""
    home = {"sweep": TRIALS.c.sweep_id} | {name: TRIALS.c[name] for name in TRIAL}
    home |= {name: ENVIRONMENTS.c[name] for name in ENVIRONMENT}
    query = select(*(home[name].label(name) for name in names)).select_from(TRIALS)
    if any(name in ENVIRONMENT for name in names):
        query = query.join(ENVIRONMENTS, ENVIRONMENTS.c.id == TRIALS.c.environment_id)
    return query if verdict is None else query.where(TRIALS.c.verdict == verdict)


def read_rows(
    connection: Connection, query: Select[Any], names: Sequence[str], sweep: str | None
) -> pd.DataFrame:
    """The rows of ``query`` over `TRIALS` as columns ``names``, of that sweep or of all.

    The query yields a sweep's id for its name, which spares a million look-ups in a join.
    Raises SweepMissingError.
    """
    sweeps = _sweep_names(connection)
    if sweep is not None:
        ids = {known: key for key, known in sweeps.items()}
        if sweep not in ids:
            raise SweepMissingError(sweep, list(ids))
        query = query.where(TRIALS.c.sweep_id == ids[sweep])
    with closing(_blocks(connection, query)) as blocks:
        return gathered(names, blocks, sweeps)


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


def _sweep_names(connection: Connection) -> dict[int, str]:
    rows = connection.execute(select(_SWEEP.c.id, _SWEEP.c.name).order_by(_SWEEP.c.id))
    return {row.id: row.name for row in rows}
