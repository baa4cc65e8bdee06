"""Trials out of a database, as one typed DataFrame. Reads only.

Owns the reading; what is made of the trials is in `analysis.tables`. Rows are taken from
the driver's own cursor in blocks and encoded as they come, so that a million trials cost
the memory of their columns, not of a million Python rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.extensions import ExtensionArray
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

from analysis.errors import (
    DatabaseMissingError,
    MissingLibraryError,
    SweepMissingError,
    UnknownChoiceError,
    UnreadableDatabaseError,
)
from analysis.schema import COLUMNS, ENVIRONMENT, TRIAL, Kind, in_order

BLOCK_ROWS = 20_000  # small enough that a block's Python objects are reused by the next

_TRIAL = table("trial", *(column(name) for name in TRIAL))
_SWEEP = table("sweep", column("id"), column("name"))
_ENVIRONMENT = table("environment", column("id"), *(column(name) for name in ENVIRONMENT))


def load(
    url: str, sweep: str | None = None, *, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """One row a trial, in the order of their ids, of one sweep or of all.

    Args:
        url: any SQLAlchemy URL; SQLite files are opened read-only.
        sweep: a sweep's name; None for the trials of all of them.
        columns: names of `analysis.schema.COLUMNS`, environment columns among them; None
            for ``sweep`` and all of ``trial``.

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
        sweeps = _sweep_names(connection)
        ids = {known: key for key, known in sweeps.items()}
        if sweep is not None and sweep not in ids:
            raise SweepMissingError(sweep, list(ids))
        query = _query(names, None if sweep is None else ids[sweep])
        return _read(connection, query, names, sweeps)


def sweep_names(url: str) -> list[str]:
    """The names of the sweeps in the database, oldest first; raises as `load` does."""
    with connected(url) as connection:
        return list(_sweep_names(connection).values())


def _query(names: Sequence[str], sweep_id: int | None) -> Select[Any]:
    """The statement that yields ``names`` of the trials, joining only what they need.

    It yields a sweep's id for its name, which spares a million look-ups in a join.
    """
    home = {"sweep": _TRIAL.c.sweep_id} | {name: _TRIAL.c[name] for name in TRIAL}
    home |= {name: _ENVIRONMENT.c[name] for name in ENVIRONMENT}
    query = select(*(home[name].label(name) for name in names)).select_from(_TRIAL)
    if any(name in ENVIRONMENT for name in names):
        query = query.join(_ENVIRONMENT, _ENVIRONMENT.c.id == _TRIAL.c.environment_id)
    if sweep_id is not None:
        query = query.where(_TRIAL.c.sweep_id == sweep_id)
    return query.order_by(_TRIAL.c.id)


def _read(
    connection: Connection, query: Select[Any], names: Sequence[str], sweeps: Mapping[int, str]
) -> pd.DataFrame:
    gatherers = [_GATHERERS[COLUMNS[name]](name) for name in names]
    for block in _blocks(connection, query):
        for gatherer, values in zip(gatherers, zip(*block, strict=True), strict=True):
            if gatherer.name == "sweep":
                values = tuple(map(sweeps.__getitem__, values))
            gatherer.add(values)
    return pd.DataFrame({g.name: g.finished() for g in gatherers}, copy=False)


def _blocks(connection: Connection, query: Select[Any]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The rows as the driver's cursor gives them: SQLAlchemy's own rows take twice as long.

    The statement holds no text from outside, only names of columns and an integer.
    """
    literal = {"literal_binds": True}
    statement = str(query.compile(dialect=connection.dialect, compile_kwargs=literal))
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement)
        while block := cursor.fetchmany(BLOCK_ROWS):
            yield block


class _Words:
    """Gathers a column of words as the codes of a category."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._codes: dict[str | None, int] = {None: -1}
        self._blocks: list[npt.NDArray[np.int32]] = [np.empty(0, np.int32)]

    def add(self, values: Sequence[str | None]) -> None:
        for word in set(values) - self._codes.keys():
            self._codes[word] = len(self._codes) - 1
        codes = map(self._codes.__getitem__, values)
        self._blocks.append(np.fromiter(codes, np.int32, len(values)))

    def finished(self) -> ExtensionArray:
        words = [word for word in self._codes if word is not None]
        ordered = in_order(self.name, words)
        place = {word: rank for rank, word in enumerate(ordered)}
        rank_of_code = np.array([place[word] for word in words] + [-1], np.int32)
        codes = rank_of_code[np.concatenate(self._blocks)]
        return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(ordered))


class _Numbers:
    """Gathers a column of numbers or flags as floats, NaN for null."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._blocks: list[npt.NDArray[np.float64]] = [np.empty(0)]

    def add(self, values: Sequence[float | None]) -> None:
        self._blocks.append(np.array(values, np.float64))

    def finished(self) -> pd.Series:
        numbers = pd.Series(np.concatenate(self._blocks))
        return numbers.astype(COLUMNS[self.name].value)


class _Integers:
    """Gathers a column of integers exactly, whatever their size up to 64 bits."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._blocks: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._nulls: list[npt.NDArray[np.bool_]] = [np.empty(0, np.bool_)]

    def add(self, values: Sequence[int | None]) -> None:
        nulls = np.zeros(len(values), np.bool_)
        if None in values:
            nulls = np.array([value is None for value in values])
            values = [0 if value is None else value for value in values]
        self._blocks.append(np.array(values, np.int64))
        self._nulls.append(nulls)

    def finished(self) -> ExtensionArray:
        return pd.arrays.IntegerArray(np.concatenate(self._blocks), np.concatenate(self._nulls))


class _Objects:
    """Gathers text and times value by value."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._values: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        self._values.extend(values)

    def finished(self) -> pd.Series:
        kind = COLUMNS[self.name]
        values: pd.Series = pd.Series(self._values, dtype=object)
        if kind is Kind.TIME:
            values = pd.to_datetime(values, utc=True)
        typed: pd.Series = values.astype(kind.value)
        return typed


_Gatherer = _Words | _Numbers | _Integers | _Objects
_GATHERERS: dict[Kind, type[_Gatherer]] = {
    Kind.WORD: _Words,
    Kind.REAL: _Numbers,
    Kind.FLAG: _Numbers,
    Kind.INT: _Integers,
    Kind.TEXT: _Objects,
    Kind.TIME: _Objects,
}


def _sweep_names(connection: Connection) -> dict[int, str]:
    rows = connection.execute(select(_SWEEP.c.id, _SWEEP.c.name).order_by(_SWEEP.c.id))
    return {row.id: row.name for row in rows}


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection that is closed afterwards; its errors come out as this package's own."""
    try:
        parsed = make_url(url)
        engine = _engine(parsed)
    except (ArgumentError, NoSuchModuleError) as error:
        raise UnreadableDatabaseError("The database URL", "it is not a valid URL") from error
    except ModuleNotFoundError as error:
        raise MissingLibraryError("That database", str(error.name), "leaksweep[cluster]") from error
    shown = parsed.render_as_string(hide_password=True)
    try:
        with engine.connect() as connection:
            yield connection
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise UnreadableDatabaseError(shown, reason) from error
    finally:
        engine.dispose()


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url)
    if not url.database or url.database == ":memory:":
        raise DatabaseMissingError("the SQLite URL, which names no file")
    path = Path(url.database)
    if not path.is_file():
        raise DatabaseMissingError(str(path))
    read_only = f"{path.resolve().as_uri()}?mode=ro"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(read_only, uri=True))
