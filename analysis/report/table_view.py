"""A table as the report shows it: cells as text, and the whole as a CSV to keep."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import pandas as pd

from analysis.formats import ReadersTable, csv_text, for_readers
from analysis.schema import as_words

_SAFE_IN_URI = ",;:/()=+*'!~@$"


@dataclass(frozen=True, slots=True)
class TableView:
    """One table of the page.

    Attributes:
        shown: its caption, heads and cells.
        optimizer: the place of the column with the optimizer, or with several joined by
            commas; None where there is none.
        csv: all columns and digits, as a ``data:`` URI.
    """

    shown: ReadersTable
    optimizer: int | None
    csv: str


def table_view(name: str, caption: str, rows: pd.DataFrame) -> TableView:
    """The table's rows for the report; see `TableView`."""
    rows = as_words(rows)
    shown = for_readers(rows, name, caption)
    places = [shown.columns.index(n) for n in ("optimizer", "optimizers") if n in shown.columns]
    uri = f"data:text/csv;charset=utf-8,{quote(csv_text(rows), safe=_SAFE_IN_URI)}"
    return TableView(shown, places[0] if places else None, uri)
