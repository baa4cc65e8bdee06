"""A summary table as the report shows it: cells as text, and the whole as a CSV to keep."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import pandas as pd

from analysis.formats import ReadersTable, csv_text, for_readers
from analysis.tables import Summary

_SAFE_IN_URI = ",;:/()=+*'!~@$"


@dataclass(frozen=True, slots=True)
class TableView:
    """One table of the page.

    Attributes:
        shown: its caption, heads and cells.
        optimizer: the place of the optimizer's column; None where there is none.
        csv: all columns and digits, as a ``data:`` URI.
    """

    shown: ReadersTable
    optimizer: int | None
    csv: str


def table_view(summary: Summary, rows: pd.DataFrame) -> TableView:
    """The table's rows for the report; see `TableView`."""
    shown = for_readers(rows, summary.name, summary.caption)
    place = shown.columns.index("optimizer") if "optimizer" in shown.columns else None
    uri = f"data:text/csv;charset=utf-8,{quote(csv_text(rows), safe=_SAFE_IN_URI)}"
    return TableView(shown, place, uri)
