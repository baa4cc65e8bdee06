"""The trials of a sweep as a list: filtered by words, sorted by a column, a page at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from sweep.serve.cells import Cell, cell, trial_address

FILTERS = ("verdict", "optimizer", "zero_grad", "schedule", "freeze")
COLUMNS = (
    *("id", "verdict", "causes", "optimizer", "lr", "weight_decay", "momentum"),
    *("zero_grad", "schedule", "freeze", "seed", "leaked_steps", "max_drift", "drift_ratio"),
    *("final_loss", "score"),
)
A_PAGE = 100
_MOST_WORDS = 5000
_WORDS = (
    f"SELECT DISTINCT {', '.join(FILTERS)} FROM trial "  # noqa: S608 names of ours
    f"WHERE sweep_id = ? LIMIT {_MOST_WORDS}"
)


@dataclass(frozen=True, slots=True)
class TrialList:
    """A page of trials.

    Attributes:
        choices: for each filter with several words in the sweep, these words.
        columns: the heads; of what is the same throughout there is none.
        rows: the cells of each trial.
        ids: the trials' ids, in the order of the rows.
        found: how many trials there are on all pages.
    """

    choices: dict[str, list[str]]
    columns: list[str]
    rows: list[list[Cell]]
    ids: list[int]
    found: int


def listed_trials(
    connection: sqlite3.Connection,
    sweep_id: int,
    wanted: Mapping[str, str],
    *,
    sort: str = "id",
    descending: bool = False,
    page: int = 1,
) -> TrialList:
    """The trials whose filters have the words ``wanted``. ``sort`` is one of `COLUMNS`."""
    words = connection.execute(_WORDS, (sweep_id,)).fetchall()
    values = [sorted({str(row[place]) for row in words}) for place in range(len(FILTERS))]
    choices = {name: known for name, known in zip(FILTERS, values, strict=True) if len(known) > 1}
    where = " AND ".join(["sweep_id = ?", *(f"{name} = ?" for name in wanted)])
    given = (sweep_id, *wanted.values())
    # Names of columns are from the lists above, and values are bound.
    counted = f"SELECT count(*) FROM trial WHERE {where}"  # noqa: S608
    order = f"{sort} IS NULL, {sort} {'DESC' if descending else 'ASC'}, id"
    chosen = (
        f"SELECT {', '.join(COLUMNS)} FROM trial WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608
    )
    rows = connection.execute(chosen, (*given, A_PAGE, (page - 1) * A_PAGE)).fetchall()
    kept = [name for name in COLUMNS if _says_something(name, choices, rows)]
    return TrialList(
        choices=choices,
        columns=kept,
        rows=[[_cell(name, row[name]) for name in kept] for row in rows],
        ids=[row["id"] for row in rows],
        found=connection.execute(counted, given).fetchone()[0],
    )


def _says_something(name: str, choices: Mapping[str, list[str]], rows: list[sqlite3.Row]) -> bool:
    if name in FILTERS:
        return name in choices or name in ("verdict", "optimizer")
    return any(row[name] is not None for row in rows)


def _cell(name: str, value: object) -> Cell:
    if name == "id" and isinstance(value, int):
        return Cell(str(value), link=trial_address(value), is_number=True)
    return cell(name, value)
