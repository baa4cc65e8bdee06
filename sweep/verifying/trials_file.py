"""A file of recorded trials, CSV and perhaps compressed: read by pandas, some rows at a time.

The file may come from anywhere, so that its size is looked at first: a megabyte of gzip can
hold gigabytes.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
from pandas.errors import EmptyDataError, ParserError

from sweep.errors import MisuseError, NotThereError
from sweep.store.models import EnvironmentRow, TrialRow
from sweep.verifying.recorded_trial import OF_TRIAL, SURROUNDINGS, RecordedTrial, TrialSource

MOST_BYTES = 2**29
"""Of the file once it is unpacked: a million trials take 330 MB."""
MOST_TRIALS = 2_000_000
ROWS_AT_ONCE = 2000
"""Rows held at once."""

_SINCE_LEAKSWEEP_0003 = frozenset({"causes", "unexplained", "score", "frozen_norm"})
_WHAT_IT_HAS = (
    "A file of trials has the columns of the table trial, such as "
    "results/reference/article/trials.csv.gz."
)
_TYPES: Mapping[str, type] = {
    column.name: column.type.python_type
    for row in (TrialRow, EnvironmentRow)
    for column in row.__table__.columns
    if column.name in {*OF_TRIAL, *SURROUNDINGS}
}

_READ: Mapping[type, Callable[[str], Any]] = {
    bool: {"True": True, "False": False}.__getitem__,
    int: int,
    float: float,
    str: str,
}


def trials_of_file(path: Path) -> TrialSource:
    """The trials of a CSV file; each is known by its place, the first row being 1.

    Raises NotThereError where there is no such file, and MisuseError for one that is too large,
    is not CSV or lacks columns; goes through all of it once to see.
    """
    if not path.is_file():
        raise NotThereError(f"There is no file {path}.")
    with _explained(path):
        _check_size(path)
        count = sum(map(len, _frames(path)))
    rows = enumerate(_rows(path), start=1)

    def read(numbers: Sequence[int]) -> list[RecordedTrial]:
        with _explained(path):
            found = [(n, next((row for place, row in rows if place == n), None)) for n in numbers]
        named = ((f"Row {number}", number, row) for number, row in found if row is not None)
        return [RecordedTrial(name, str(path), number, row) for name, number, row in named]

    return TrialSource(str(path), range(1, 1 + count), read)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for frame in _frames(path):
        names = list(frame.columns)
        for values in frame.itertuples(index=False, name=None):
            row = dict.fromkeys(_SINCE_LEAKSWEEP_0003)
            yield row | {n: _value(n, v) for n, v in zip(names, values, strict=True)}


def _frames(path: Path) -> Iterator[pd.DataFrame]:
    """The columns that are known, as the text that they are; an empty cell is empty text."""
    with _unpacked(path) as file:
        frames = pd.read_csv(
            file,
            dtype=str,
            keep_default_na=False,
            index_col=False,
            usecols=lambda name: name in _TYPES,
            chunksize=ROWS_AT_ONCE,
        )
        rows = 0
        for frame in frames:
            lacking = [n for n in OF_TRIAL if n not in frame and n not in _SINCE_LEAKSWEEP_0003]
            if lacking:
                raise MisuseError(f"{path} lacks the columns {', '.join(lacking)}. {_WHAT_IT_HAS}")
            rows += len(frame)
            if rows > MOST_TRIALS:
                raise MisuseError(f"{path} has more than {MOST_TRIALS:,} rows.")
            yield frame


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what gzip, pandas and the system say of the file into one message."""
    try:
        yield
    except EmptyDataError as error:
        raise MisuseError(f"{path} is empty. {_WHAT_IT_HAS}") from error
    except (OSError, EOFError, zlib.error, ParserError, ValueError, OverflowError) as error:
        words = " ".join(str(error).split())[:200]
        raise MisuseError(f"{path} cannot be read as CSV: {words}.") from error


def _check_size(path: Path) -> None:
    with _unpacked(path) as file:
        gz = path.suffix == ".gz"  # of which the end is found by unpacking alone
        size = file.seek(MOST_BYTES + 1) if gz else file.seek(0, os.SEEK_END)
    if size > MOST_BYTES:
        raise MisuseError(
            f"{path} holds more than {MOST_BYTES:,} bytes once it is unpacked, and a file of "
            f"trials may hold that many. Cut it into several."
        )


def _unpacked(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _value(column: str, text: Any) -> Any:
    """``text`` as the column's type; as it is where it is none, for a comparison to show.

    An empty cell is null, and so is one that a row is too short to have.
    """
    if not text or not isinstance(text, str):
        return None
    try:
        return _READ[_TYPES[column]](text)
    except (ValueError, KeyError):
        return text
