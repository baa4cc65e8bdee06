"""The formats that tables come in, on stdout and as files; the one place that names them."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import chain
from typing import Annotated, Any

from analysis.formulas import defused
from sweep.cli.help import option
from sweep.cli.screen import harmless, print_table
from sweep.errors import MisuseError


class Format(StrEnum):
    """How a table is written down."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"
    LATEX = "latex"
    PARQUET = "parquet"


PRINTED = (Format.TABLE, Format.CSV, Format.JSON, Format.MARKDOWN)
"""The formats that are printed row by row."""


def _printed(format: Format) -> Format:
    """Raises MisuseError for a format that cannot be printed row by row."""
    if format not in PRINTED:
        raise MisuseError(
            f"--format {format} is for the summary tables, which `leaksweep export` writes as "
            f"files. Printed here: {', '.join(PRINTED)}."
        )
    return format


PrintedAs = Annotated[
    Format, option("|".join(PRINTED), "How to print it.", "--format", callback=_printed)
]


def print_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    format: Format,
    *,
    raw: bool = False,
) -> None:
    """Prints ``rows`` on stdout, in a format of `PRINTED`. Null is empty, in JSON null.

    No format sends a control character to a terminal. In CSV, texts that a spreadsheet would
    run as a formula get a ``'`` before them, unless ``raw``; elsewhere than on a terminal it
    is exact otherwise.
    """
    if format is Format.TABLE:
        kept = list(rows)
        numeric = frozenset(
            index
            for index in range(len(columns) if kept else 0)
            if all(isinstance(row[index], int | float | None) for row in kept)
        )
        print_table(columns, [[cell_text(cell) for cell in row] for row in kept], numeric=numeric)
    elif format is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([_in_csv(cell, raw) for cell in row] for row in chain([columns], rows))
    elif format is Format.JSON:
        separator = "["
        for row in rows:
            record = dict(zip(columns, map(_in_json, row), strict=True))
            sys.stdout.write(f"{separator}\n  {json.dumps(record)}")
            separator = ","
        sys.stdout.write("[]\n" if separator == "[" else "\n]\n")
    else:
        for line in chain([columns, ["---"] * len(columns)], rows):
            sys.stdout.write(f"| {' | '.join(map(_in_markdown, line))} |\n")


def cell_text(cell: Any) -> str:
    """A cell for people: numbers to six significant digits, of bytes how many there are."""
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return f"({len(cell):,} bytes)"
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _in_csv(cell: Any, raw: bool) -> Any:
    if not isinstance(cell, str):
        return cell
    text = cell if raw else defused(cell)
    return harmless(text) if sys.stdout.isatty() else text


def _in_json(cell: Any) -> Any:
    """JSON has no infinity: it becomes text. Whatever else it lacks becomes text too."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    return cell if isinstance(cell, str | int | float | None) else str(cell)


def _in_markdown(cell: Any) -> str:
    """The cell's text with nothing in it that ends a cell or a row."""
    escaped = cell_text(cell).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    return harmless(escaped)
