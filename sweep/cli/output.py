"""The formats that tables come in, on stdout and as files; the one place that names them."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from analysis.formulas import defused
from sweep.cli.screen import harmless, print_table
from sweep.errors import MisuseError

Rows = Iterable[Sequence[Any]]


class Format(StrEnum):
    """How a table is written down."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"
    LATEX = "latex"
    PARQUET = "parquet"


def _printed(format: Format) -> Format:  # noqa: A002
    """Raises MisuseError for a format that cannot be printed row by row."""
    if format not in _PRINTERS:
        raise MisuseError(
            f"--format {format} is for the summary tables, which `leaksweep export` writes as "
            f"files. Printed here: {', '.join(_PRINTERS)}."
        )
    return format


PrintedAs = Annotated[
    Format,
    typer.Option(
        "--format",
        metavar="table|csv|json|markdown",
        help="How to print it.",
        callback=_printed,
    ),
]


def print_rows(
    columns: Sequence[str],
    rows: Rows,
    format: Format,  # noqa: A002
    *,
    raw: bool = False,
    title: str = "",
) -> None:
    """Prints ``rows`` on stdout. Null is empty, in JSON null; ``title`` is for people alone.

    No format sends a control character to a terminal. In CSV, texts that a spreadsheet would
    run as a formula get a ``'`` before them, unless ``raw``; elsewhere than on a terminal it
    is exact otherwise.
    """
    if format is Format.CSV:
        _csv(columns, rows, raw)
    elif format is Format.TABLE:
        _table(columns, rows, title)
    else:
        _PRINTERS[format](columns, rows)


def _table(columns: Sequence[str], rows: Rows, title: str = "") -> None:
    kept = list(rows)
    numeric = frozenset(
        index
        for index in range(len(columns))
        if kept and all(isinstance(row[index], int | float | None) for row in kept)
    )
    cells = [[cell_text(cell) for cell in row] for row in kept]
    print_table(columns, cells, title=title, numeric=numeric)


def _csv(columns: Sequence[str], rows: Rows, raw: bool = False) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    shown = _on_screen if sys.stdout.isatty() else _exact

    def cell_of(cell: Any) -> Any:
        return shown(defused(cell) if isinstance(cell, str) and not raw else cell)

    writer.writerow([cell_of(column) for column in columns])
    writer.writerows([cell_of(cell) for cell in row] for row in rows)


def _json(columns: Sequence[str], rows: Rows) -> None:
    """One array with an object a row, a row a line."""
    separator = "["
    for row in rows:
        record = dict(zip(columns, map(_jsonable, row), strict=True))
        sys.stdout.write(f"{separator}\n  {json.dumps(record)}")
        separator = ","
    sys.stdout.write("[]\n" if separator == "[" else "\n]\n")


def _markdown(columns: Sequence[str], rows: Rows) -> None:
    lines = [columns, ["---"] * len(columns), *([cell_text(cell) for cell in row] for row in rows)]
    for line in lines:
        cells = (_in_markdown(cell) for cell in line)
        sys.stdout.write(f"| {' | '.join(cells)} |\n")


_PRINTERS: Mapping[Format, Callable[[Sequence[str], Rows], None]] = {
    Format.TABLE: _table,
    Format.CSV: _csv,
    Format.JSON: _json,
    Format.MARKDOWN: _markdown,
}
PRINTED = tuple(_PRINTERS)
"""The formats that are printed row by row."""


def cell_text(cell: Any) -> str:
    """A cell for people: numbers to six significant digits, of bytes how many there are."""
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return f"({len(cell):,} bytes)"
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _in_markdown(text: str) -> str:
    """``text`` with nothing in it that ends a cell or a row."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    return harmless(escaped)


def _exact(cell: Any) -> Any:
    return "" if cell is None else cell


def _on_screen(cell: Any) -> Any:
    return harmless(cell) if isinstance(cell, str) else _exact(cell)


def _jsonable(cell: Any) -> Any:
    """JSON has no infinity: it becomes text. Whatever else it lacks becomes text too."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    return cell if isinstance(cell, str | int | float | None) else str(cell)
