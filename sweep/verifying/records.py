"""Recorded trials with everything that they showed: from a database, or from a file of rows.

Reads only. What it reads may come from anywhere: values are given as they stand there.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from sweep.errors import MisuseError, NotThereError
from sweep.store.query import run_query, sweep_status
from sweep.store.url import parse_url
from sweep.values.outcome import CAUSE_FLAGS, Measurement, StepRecord
from sweep.verifying.recorded import ENVIRONMENT, PLAN, SURROUNDINGS, WATCHED

FLAGS = ("moved", "diverged", "sideways", *CAUSE_FLAGS)
SHOWN = (
    *("verdict", "error", "moved", "sideways"),
    *(field.name for field in fields(Measurement)),
    *("causes", "unexplained", *CAUSE_FLAGS),
)
"""The columns that say what a trial showed, which is what a replay is held against."""
STEP = tuple(field.name for field in fields(StepRecord))

_COUNTS = ("steps", "seed", "frozen_steps", "leaked_steps", "first_leak_step", "threads")
_REALS = (
    *("lr", "weight_decay", "momentum", "max_drift", "total_drift", "attached_motion"),
    *("drift_ratio", "initial_loss", "final_loss", "score", "frozen_norm"),
)
_SINCE_LEAKSWEEP_0003 = frozenset({"causes", "unexplained", "score", "frozen_norm"})
_OF_TRIAL = (*PLAN, *SHOWN, "optimizer_package")
_NUMBERS = "SELECT trial.id FROM trial WHERE trial.workload <> '{watched}' {of_sweep} ORDER BY 1"
_ROWS = """
SELECT {columns} FROM trial JOIN environment ON environment.id = trial.environment_id
WHERE trial.id IN ({numbers}) ORDER BY trial.id
"""
_STEPS = "SELECT trial_id, {columns} FROM step WHERE trial_id IN ({numbers}) ORDER BY 1, 2"


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded trial.

    Attributes:
        name: what messages call it, such as "Trial 7".
        number: its number where it was read from.
        columns: those of `PLAN`, `SHOWN` and `SURROUNDINGS`, by name; a surrounding that was
            not recorded is not there.
        steps: its rows of ``step``, in order; none unless it was traced.
    """

    name: str
    number: int
    columns: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...] = ()


class Records(Protocol):
    """Recorded trials that can be read by their numbers.

    Attributes:
        where: where they are, for messages.
        numbers: the number of each, in order.
    """

    where: str
    numbers: list[int]

    def read(self, numbers: Sequence[int]) -> list[Record]:
        """Those of these numbers; one that has gone meanwhile is left out."""


def open_records(url: str, *, sweep: str | None = None, file: Path | None = None) -> Records:
    """The trials of ``file`` if given; else of the sweep of that name, or all, in a database.

    Raises NotThereError where there is no such sweep, file or trial, MisuseError for a file
    that cannot be read or lacks columns, and what `run_query` raises.
    """
    records: Records = _FileRecords(file) if file is not None else _DatabaseRecords(url, sweep)
    if not records.numbers:
        raise NotThereError(f"There is no trial in {records.where} that could be replayed.")
    return records


class _DatabaseRecords:
    """The trials of one sweep, or of all, in a database; opened anew for every reading."""

    def __init__(self, url: str, sweep: str | None) -> None:
        self._url = url
        self.where = parse_url(url).shown
        of_sweep = "" if sweep is None else f"AND trial.sweep_id = {self._sweep_id(sweep):d}"
        found = self._query(_NUMBERS.format(watched=WATCHED, of_sweep=of_sweep))
        self.numbers = [number for (number,) in found]

    def read(self, numbers: Sequence[int]) -> list[Record]:
        listed = ", ".join(f"{number:d}" for number in numbers)
        columns = [f"trial.{n}" for n in ("id", *_OF_TRIAL)]
        columns += [f"environment.{n}" for n in ENVIRONMENT]
        rows = self._query(_ROWS.format(columns=", ".join(columns), numbers=listed))
        steps: dict[int, list[Mapping[str, Any]]] = {}
        for number, *step in self._query(_STEPS.format(columns=", ".join(STEP), numbers=listed)):
            steps.setdefault(number, []).append(dict(zip(STEP, step, strict=True)))
        return [
            Record(
                name=f"Trial {number}",
                number=number,
                columns=dict(zip((*_OF_TRIAL, *ENVIRONMENT), values, strict=True)),
                steps=tuple(steps.get(number, ())),
            )
            for number, *values in rows
        ]

    def _sweep_id(self, name: str) -> int:
        sweep_status(self._url, name)  # raises, with the nearest names, where there is none
        ids = {known: number for number, known in self._query("SELECT id, name FROM sweep")}
        return int(ids[name])

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        with run_query(self._url, sql) as rows:
            return list(rows)


class _FileRecords:
    """The trials of a CSV file, which may be compressed with gzip; each is known by its place."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        reader = csv.DictReader(io.StringIO(_text(path)))
        there = {*(reader.fieldnames or ()), *_SINCE_LEAKSWEEP_0003}
        lacking = [name for name in _OF_TRIAL if name not in there]
        if lacking:
            raise MisuseError(
                f"{path} lacks the columns {', '.join(lacking)}. A file of trials has those of "
                f"the table trial, such as results/reference/article/trials.csv.gz."
            )
        rows = list(map(_typed, reader))
        self._rows = dict(enumerate(rows, start=1))
        self.numbers = list(self._rows)

    def read(self, numbers: Sequence[int]) -> list[Record]:
        return [Record(f"Row {number}", number, self._rows[number]) for number in numbers]


def _text(path: Path) -> str:
    if not path.is_file():
        raise NotThereError(f"There is no file {path}.")
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise MisuseError(f"{path} cannot be read as CSV: {error}.") from error


def _typed(row: Mapping[str, str | None]) -> dict[str, Any]:
    """The row's values as a database has them: an empty cell is null."""
    known = (*_OF_TRIAL, *SURROUNDINGS)
    typed = {name: _value(name, row[name]) for name in known if name in row}
    return dict.fromkeys(_SINCE_LEAKSWEEP_0003) | typed


def _value(column: str, text: str | None) -> Any:
    """``text`` as the column's type; as it is where it is none, for a comparison to show."""
    if not text:
        return None
    try:
        return _TYPES.get(column, str)(text)
    except (ValueError, KeyError):
        return text


_TYPES: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(FLAGS, {"True": True, "False": False}.__getitem__),
    **dict.fromkeys(_COUNTS, int),
    **dict.fromkeys(_REALS, float),
}
