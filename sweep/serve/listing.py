"""What pages list: sweeps at a glance, and trials and summary tables by words and columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sweep.serve.cells import Cell, cell, sweep_address
from sweep.store.activity import Activity, activity
from sweep.store.query import SweepStatus
from sweep.values.words import Verdict

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
_QUIET = timedelta(minutes=1)  # how long a sweep that runs may say nothing
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
    counted = f"SELECT count(*) FROM trial WHERE {where}"  # noqa: S608 names of ours
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


class SweepState(StrEnum):
    """What has become of a sweep."""

    RUNNING = "running"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Glance:
    """A sweep at a glance.

    Attributes:
        status: its counts.
        now: what goes on in it.
        state: what has become of it.
        address: where its page is.
    """

    status: SweepStatus
    now: Activity
    state: SweepState
    address: str

    @property
    def parts(self) -> list[tuple[str, int]]:
        """The bar: trials by verdict, and those that remain; without what there are none of."""
        counts = [(verdict.value, getattr(self.status, verdict)) for verdict in Verdict]
        return [part for part in [*counts, ("remaining", self.status.remaining)] if part[1]]

    @property
    def minutes_left(self) -> float | None:
        """At the pace of the latest trials; None where it does not run."""
        if self.state is not SweepState.RUNNING or not self.now.a_second:
            return None
        return self.status.remaining / self.now.a_second / 60


def glance(url: str, status: SweepStatus) -> Glance:
    """The sweep of that status at a glance. Reads only; raises as `activity` does."""
    now = activity(url, status.id)
    return Glance(status, now, _state(status, now), sweep_address(status.id, status.name))


def _state(status: SweepStatus, now: Activity) -> SweepState:
    running = now.running
    if running is None:  # the system cannot tell
        running = now.last_at is not None and datetime.now(UTC) - now.last_at < _QUIET
    if running:
        return SweepState.RUNNING
    if status.remaining == 0:
        return SweepState.COMPLETE
    return SweepState.INTERRUPTED if status.done + status.failed else SweepState.PLANNED
