"""Rows as a page lists them, filtered by words and sorted by a column: trials, summary tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweep.serve.cells import Cell, cell

if TYPE_CHECKING:
    import pandas as pd

FILTERS = ("verdict", "optimizer", "zero_grad", "schedule", "freeze")
COLUMNS = (
    *("id", "verdict", "causes", "optimizer", "lr", "weight_decay", "momentum"),
    *("zero_grad", "schedule", "freeze", "seed", "leaked_steps", "max_drift", "drift_ratio"),
    *("final_loss", "score"),
)
"""Of a trial, in a list."""
A_PAGE = 100  # trials
MOST_ROWS = 500  # of a summary table
_MOST_WORDS = 5000
_WORDS = (
    f"SELECT DISTINCT {', '.join(FILTERS)} FROM trial "  # noqa: S608 names of ours
    f"WHERE sweep_id = ? LIMIT {_MOST_WORDS}"
)


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of a page.

    Attributes:
        choices: for each filter with several words, these words.
        columns: the heads, each with whether it holds numbers.
        rows: the cells.
        found: how many rows the filter leaves, shown or not.
        caption: what they are, and what is the same in every row; of trials empty.
    """

    choices: dict[str, list[str]]
    columns: list[tuple[str, bool]]
    rows: list[list[Cell]]
    found: int
    caption: str = ""


def listed_trials(
    connection: sqlite3.Connection,
    sweep_id: int,
    *,
    wanted: Mapping[str, str],
    sort: str,
    descending: bool,
    page: int,
) -> Listing:
    """A page of the trials whose filters have the words ``wanted``, by a column of `COLUMNS`.

    Of what is the same throughout there is no column.
    """
    words = zip(*connection.execute(_WORDS, (sweep_id,)), strict=True)
    values = (sorted(set(map(str, column))) for column in words)
    choices = {name: known for name, known in zip(FILTERS, values, strict=False) if len(known) > 1}
    where = " AND ".join(["sweep_id = ?", *(f"{name} = ?" for name in wanted)])
    given = (sweep_id, *wanted.values())
    # Names of columns are from the lists above, and values are bound.
    counted = f"SELECT count(*) FROM trial WHERE {where}"  # noqa: S608
    order = f"{sort} IS NULL, {sort} {'DESC' if descending else 'ASC'}, id"
    chosen = (
        f"SELECT {', '.join(COLUMNS)} FROM trial WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608
    )
    rows = connection.execute(chosen, (*given, A_PAGE, (page - 1) * A_PAGE)).fetchall()
    same = {*FILTERS[2:]} - choices.keys()
    kept = [n for n in COLUMNS if n not in same and any(row[n] is not None for row in rows)]
    cells = [[cell(name, row[name]) for name in kept] for row in rows]
    first = cells[0] if cells else []
    return Listing(
        choices=choices,
        columns=[(name, each.is_number) for name, each in zip(kept, first, strict=True)],
        rows=cells,
        found=connection.execute(counted, given).fetchone()[0],
    )


def summary_rows(
    table: pd.DataFrame,
    name: str,
    caption: str,
    *,
    wanted: Mapping[str, str],
    sort: str,
    descending: bool,
) -> Listing:
    """The first rows of a summary table whose filters have the words ``wanted``, rounded.

    By the column ``sort`` if there is one.
    """
    from analysis.formats import for_readers

    choices = {
        column: sorted(map(str, table[column].dropna().unique()))
        for column in FILTERS
        if column in table.columns and table[column].nunique() > 1
    }
    rows = table
    for column in choices.keys() & wanted.keys():
        rows = rows[rows[column].astype(str) == wanted[column]]
    if sort in rows.columns:
        rows = rows.sort_values(sort, ascending=not descending, kind="stable")
    first = rows.head(MOST_ROWS)
    shown = for_readers(first, name, caption)
    whole = first[list(shown.columns)].astype(object)
    pairs = zip(whole.where(whole.notna(), None).to_numpy(), shown.rows, strict=True)
    return Listing(
        choices=choices,
        columns=list(zip(shown.columns, shown.numeric, strict=True)),
        rows=[list(map(cell, shown.columns, *pair)) for pair in pairs],
        found=len(rows),
        caption=shown.caption,
    )
