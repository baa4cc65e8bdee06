"""Trials out of a database, as one typed DataFrame. Reads only.

Owns the reading trial by trial; `analysis.folded` reads many as one row, and what is made of
them is in `analysis.tables`. Rows are taken from the driver's own cursor in blocks and encoded
as they come, so that a million trials cost the memory of their columns, not of a million
Python rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pandas as pd
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Select,
    column,
    create_engine,
    make_url,
    select,
    table,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from analysis.exceptions import (
    DatabaseMissingError,
    MissingLibraryError,
    SweepMissingError,
    UnknownChoiceError,
    UnreadableDatabaseError,
)
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
        url: any SQLAlchemy URL; SQLite files are opened read-only.
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


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection that is closed afterwards; its errors come out as this package's own.

    All that is read through it is of one state of the database, whatever others write.
    """
    try:
        parsed = make_url(url)
        engine = _engine(parsed)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise UnreadableDatabaseError("The database URL", "it is not a valid URL") from error
    except ModuleNotFoundError as error:
        raise MissingLibraryError("That database", str(error.name), "leaksweep[cluster]") from error
    try:
        with engine.connect() as connection:
            yield connection
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise _unreadable(parsed, reason) from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        reason = f"a column holds what is not of its kind ({str(error).splitlines()[0]:.80})"
        raise _unreadable(parsed, reason) from error
    finally:
        engine.dispose()


def _unreadable(url: URL, reason: str) -> UnreadableDatabaseError:
    """The error with every secret of ``url`` left out, whoever has put it into the reason."""
    shown = url.render_as_string(hide_password=False)
    secrets = [url.password, *(url.query.get(name) for name in ("password", "sslpassword"))]
    for secret in filter(None, secrets):
        for written in (str(secret), quote(str(secret)), quote_plus(str(secret))):
            shown, reason = shown.replace(written, "***"), reason.replace(written, "***")
    return UnreadableDatabaseError(shown, reason)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        engine = create_engine(url, isolation_level="REPEATABLE READ")
        return engine.execution_options(postgresql_readonly=True)
    if url.get_backend_name() != "sqlite":
        return create_engine(url)
    if not url.database or url.database == ":memory:":
        raise DatabaseMissingError("the SQLite URL, which names no file")
    path = Path(url.database)
    if not path.is_file():
        raise DatabaseMissingError(str(path))
    read_only = f"{path.resolve().as_uri()}?mode=ro"
    return create_engine("sqlite://", creator=lambda: _opened(read_only))


def _opened(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True)
    connection.execute("PRAGMA trusted_schema = OFF")  # views of strangers call nothing of ours
    connection.execute("BEGIN")  # what is seen first is seen to the end
    return connection
