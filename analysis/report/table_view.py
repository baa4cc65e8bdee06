"""A summary table as the report shows it: cells as text, and the whole as a CSV to keep."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from analysis.formats import shown, write_csv
from analysis.schema import SETTING_KEYS
from analysis.tables import Table

_SAFE_IN_URI = ",;:/()=+*'!~@$"


@dataclass(frozen=True, slots=True)
class TableView:
    """One table, without the sweep's column and without what is the same in every row.

    Attributes:
        name, caption: the table's own.
        columns: the heads of its columns.
        numeric: for each column, whether it holds numbers.
        optimizer: the place of the optimizer's column; None where there is none.
        rows: the cells as text, rounded.
        constant: ``axis = value`` for each axis that is the same in every row.
        csv: all columns and digits, as a ``data:`` URI.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    optimizer: int | None
    rows: tuple[tuple[str, ...], ...]
    constant: tuple[str, ...]
    csv: str


def table_view(table: Table, rows: pd.DataFrame) -> TableView:
    """The table's rows for the report; see `TableView`."""
    same = [name for name in SETTING_KEYS if name in rows and _is_same(rows[name])]
    kept = rows.drop(columns=["sweep", *same])
    columns = tuple(map(str, kept.columns))
    cells = [[shown(name, value) for value in kept[name]] for name in columns]
    numbers = tuple(
        pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
        for kind in kept.dtypes
    )
    return TableView(
        name=table.name,
        caption=table.caption,
        columns=columns,
        numeric=numbers,
        optimizer=columns.index("optimizer") if "optimizer" in columns else None,
        rows=tuple(zip(*cells, strict=True)),
        constant=tuple(f"{name} = {shown(name, rows[name].iloc[0]) or 'null'}" for name in same),
        csv=_data_uri(table, rows),
    )


def _is_same(column: pd.Series) -> bool:
    return len(column) > 1 and column.nunique(dropna=False) == 1 and column.name != "optimizer"


def _data_uri(table: Table, rows: pd.DataFrame) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_csv(rows, table, path, False)
        text = path.read_text(encoding="utf-8")
    return f"data:text/csv;charset=utf-8,{quote(text, safe=_SAFE_IN_URI)}"
