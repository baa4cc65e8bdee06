"""What a search has found, beside what the grid had that it began from. Reads only."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study

from sweep.grid.recorded_spec import no_grid
from sweep.grid.spec import Spec
from sweep.searching.objective import Objective, values
from sweep.searching.study import recorded_rows
from sweep.searching.twins import with_score_change
from sweep.store.models import SweepRow
from sweep.store.query import checked_rows
from sweep.values.words import Axis

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
"""The committed results of the presets, where the program runs from its repository."""

_WORDS = (Axis.OPTIMIZER, Axis.ZERO_GRAD, Axis.SCHEDULE, Axis.FREEZE, Axis.SEED)
_NUMBERS = (*(each.value for each in Objective), "lr", "weight_decay", "momentum")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A trial that has all objectives: its columns, and their values in the same order."""

    row: Mapping[str, Any]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GridTrials:
    """The trials of the grid: where they were found, and those that can be ranked."""

    where: str
    trials: tuple[Ranked, ...]


def ranked(
    rows: Sequence[Mapping[str, Any]], objectives: Sequence[Objective]
) -> tuple[Ranked, ...]:
    """Those of ``rows`` that have all objectives."""
    pairs = ((row, values(row, objectives)) for row in rows)
    return tuple(Ranked(row, found) for row, found in pairs if found is not None)


def worst(trials: Sequence[Ranked], objective: Objective, place: int = 0) -> list[Ranked]:
    """``trials`` with the one first that has most of ``objective``, or least where less is wanted.

    ``place`` is the objective's among the trials' values. Ties keep their order.
    """
    sign = 1 if objective.direction == "minimize" else -1
    return sorted(trials, key=lambda each: sign * each.values[place])


def front(
    study: Study, rows: Sequence[Mapping[str, Any]], objectives: Sequence[Objective]
) -> list[Ranked]:
    """The Pareto front of the ``study`` of ``rows``: none of it is beaten in every objective.

    The worst by the first objective comes first.
    """
    numbers = {trial.user_attrs["trial"] for trial in study.best_trials}
    chosen = ranked([row for row in rows if row["id"] in numbers], objectives)
    return worst(chosen, objectives[0])


def grid_trials(
    url: str, grid: Spec, objectives: Sequence[Objective], *, searched: str
) -> GridTrials | None:
    """The trials of the sweep of ``grid``, which has its name in the database at ``url``.

    Of a preset that is not recorded there, those of the committed results. Only trials of the
    grid's workload, number of steps and words, which may have been replaced by others; None
    where there are none. ``searched`` is the name of the search itself, which is no grid.
    """
    sources = (
        (f"the sweep {grid.name!r}", _recorded(url, grid.name, searched)),
        (f"results/reference/{grid.name}", _committed(grid.name)),
    )
    for where, rows in sources:
        told = with_score_change([row for row in rows if _is_of(grid, row)], objectives)
        found = ranked(told, objectives)
        if found:
            return GridTrials(where, found)
    return None


def _is_of(grid: Spec, row: Mapping[str, Any]) -> bool:
    """Whether the grid has the trial's workload, steps and words; its numbers may be others."""
    return (row["workload"], row["steps"]) == (grid.workload, grid.steps) and any(
        all(row[axis] in getattr(each, axis) for axis in _WORDS) for each in grid.grid
    )


def _recorded(url: str, name: str, searched: str) -> list[dict[str, Any]]:
    """The trials of the sweep of that name, unless it was searched, too."""
    if name == searched:
        return []
    specs = {row["name"]: row["spec"] for row in checked_rows(url, SweepRow, ("name", "spec"))}
    if name not in specs or no_grid(specs[name]) is not None:
        return []
    return recorded_rows(url, name)


def _committed(name: str) -> list[dict[str, Any]]:
    path = REFERENCE / name / "trials.csv.gz"
    if not path.is_file() or path.parent.parent != REFERENCE:
        return []
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        return list(_typed(csv.DictReader(file)))


def _typed(rows: csv.DictReader[str]) -> Iterator[dict[str, Any]]:
    """Rows of the file, with null, numbers and flags as a database has them."""
    for row in rows:
        typed: dict[str, Any] = {name: text or None for name, text in row.items()}
        for name in _NUMBERS:
            typed[name] = None if typed.get(name) is None else float(typed[name])
        typed |= {name: int(typed[name]) for name in ("steps", "seed")}
        typed["diverged"] = typed["diverged"] == "True"
        yield typed
