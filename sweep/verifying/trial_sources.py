"""Recorded trials with everything that they showed: from a database, or from a file of rows.

Reads only. What it reads may come from anywhere: values are given as they stand there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sweep.errors import NotThereError
from sweep.store.query import run_query, sweep_id
from sweep.store.url import parse_url
from sweep.verifying.recorded_trial import (
    KIND_WATCH,
    OF_ENVIRONMENT,
    OF_TRIAL,
    STEP,
    RecordedTrial,
    TrialSource,
)

_NUMBERS = "SELECT trial.id FROM trial WHERE trial.workload <> '{watched}' {of_sweep} ORDER BY 1"
_ROWS = """
SELECT trial.id, {columns} FROM trial JOIN environment ON environment.id = trial.environment_id
WHERE trial.id IN ({numbers}) ORDER BY trial.id
"""
_STEPS = "SELECT trial_id, {columns} FROM step WHERE trial_id IN ({numbers}) ORDER BY 1, 2"


def open_trials(url: str, *, sweep: str | None = None, file: Path | None = None) -> TrialSource:
    """The trials of ``file`` if given; else of the sweep of that name, or all, in a database.

    Raises NotThereError where there is no such sweep, file or trial, MisuseError for a file
    that cannot be read or lacks columns, and what `run_query` raises.
    """
    if file is None:
        source = _of_a_database(url, sweep)
    else:
        from sweep.verifying.trials_file import trials_of_file  # pandas comes with it

        source = trials_of_file(file)
    if not source.numbers:
        raise NotThereError(f"There is no trial in {source.where} that could be replayed.")
    return source


def recorded_trial(url: str, number: int) -> RecordedTrial:
    """The trial of that id in the database at ``url``.

    Raises NotThereError where there is none, and what `run_query` raises.
    """
    found = _of_database(url, [number])
    if not found:
        raise NotThereError(
            f"There is no trial {number} in {parse_url(url).shown}. Trials are numbered by the "
            f"column id of the table trial; `leaksweep sql` can list them."
        )
    return found[0]


def _of_a_database(url: str, sweep: str | None) -> TrialSource:
    """The trials of one sweep, or of all, in a database; opened anew for every reading."""
    of_sweep = "" if sweep is None else f"AND trial.sweep_id = {sweep_id(url, sweep):d}"
    found = _rows(url, _NUMBERS.format(watched=KIND_WATCH, of_sweep=of_sweep))
    numbers = [number for (number,) in found]
    return TrialSource(parse_url(url).shown, numbers, partial(_of_database, url))


def _of_database(url: str, numbers: Sequence[int]) -> list[RecordedTrial]:
    listed = ", ".join(f"{number:d}" for number in numbers)
    columns = [f"trial.{name}" for name in OF_TRIAL]
    columns += [f"environment.{name}" for name in OF_ENVIRONMENT]
    steps: dict[int, list[Mapping[str, Any]]] = {}
    for number, *step in _rows(url, _STEPS.format(columns=", ".join(STEP), numbers=listed)):
        steps.setdefault(number, []).append(dict(zip(STEP, step, strict=True)))
    return [
        RecordedTrial(
            name=f"Trial {number}",
            where=parse_url(url).shown,
            number=number,
            columns=dict(zip((*OF_TRIAL, *OF_ENVIRONMENT), values, strict=True)),
            steps=tuple(steps.get(number, ())),
        )
        for number, *values in _rows(url, _ROWS.format(columns=", ".join(columns), numbers=listed))
    ]


def _rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with run_query(url, sql) as rows:
        return list(rows)
