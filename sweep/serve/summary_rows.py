"""A summary table of `analysis` as a page shows it: filtered, sorted, and rounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.serve.cells import Cell, cell
from sweep.serve.trial_list import FILTERS

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 500


@dataclass(frozen=True, slots=True)
class SummaryRows:
    """The table.

    Attributes:
        caption: what it shows, and what is the same in every row.
        choices: for each filter with several words in the table, these words.
        columns: the heads, each with whether it holds numbers.
        rows: the cells, of at most `MOST_ROWS` rows.
        found: how many rows the filter leaves.
    """

    caption: str
    choices: dict[str, list[str]]
    columns: list[tuple[str, bool]]
    rows: list[list[Cell]]
    found: int


def summary_rows(
    table: pd.DataFrame,
    name: str,
    caption: str,
    wanted: Mapping[str, str],
    *,
    sort: str = "",
    descending: bool = False,
) -> SummaryRows:
    """The rows whose filters have the words ``wanted``, by the column ``sort`` if there is one."""
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
    values = first[list(shown.columns)].astype(object)
    return SummaryRows(
        caption=shown.caption,
        choices=choices,
        columns=list(zip(shown.columns, shown.numeric, strict=True)),
        rows=[
            list(map(_cell, shown.columns, whole, texts))
            for whole, texts in zip(values.itertuples(index=False), shown.rows, strict=True)
        ],
        found=len(rows),
    )


def _cell(column: str, value: Any, text: str) -> Cell:
    import pandas as pd

    if pd.isna(value):
        return Cell("")
    plain = value.item() if hasattr(value, "item") else value
    return cell(column, plain, text=text)
