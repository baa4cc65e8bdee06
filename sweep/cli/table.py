"""`leaksweep table`: a summary table on the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli import completion
from sweep.cli.options import DEFAULT_DB, Db, SweepName
from sweep.cli.output import Format, print_rows
from sweep.cli.screen import say, telling
from sweep.errors import MisuseError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.tables import Table


def table(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Which one; a name that there is not is answered with all.",
            autocompletion=completion.tables,
        ),
    ],
    sweep: SweepName = None,
    db: Db = DEFAULT_DB,
    format: Annotated[  # noqa: A002
        Format, typer.Option(metavar="|".join(Format), help="How to print it.")
    ] = Format.TABLE,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave texts that a spreadsheet would run as formulas.")
    ] = False,
) -> None:
    """Print a summary table, such as the one that ends `run`, which is called results.

    Texts that begin like a spreadsheet formula get a ' in front in CSV, unless --raw.

    Example: leaksweep table by_optimizer --format markdown
    """
    from analysis.exceptions import UnknownChoiceError
    from analysis.tables import TABLES

    if name not in TABLES:
        raise UnknownChoiceError("table", name, tuple(TABLES))
    chosen = TABLES[name]
    with telling("Reading the trials..."):
        rows = chosen.make(chosen.read(db, sweep))
    if format in (Format.LATEX, Format.PARQUET):
        _write(rows, chosen, format, raw)
    else:
        columns = list(map(str, rows.columns))
        print_rows(columns, _plain(rows), format, raw=raw, title=chosen.caption)
    if rows.empty:
        say(f"The table {name} has no rows: nothing that it is about is recorded.")


def _write(rows: pd.DataFrame, table: Table, format: Format, raw: bool) -> None:  # noqa: A002
    """Writes on stdout what `leaksweep export` would put into a file."""
    from analysis.formats import FORMATS

    if format is Format.PARQUET and sys.stdout.isatty():
        raise MisuseError(f"Parquet is not for a terminal: add > {table.name}.parquet")
    with TemporaryDirectory() as folder:
        path = Path(folder) / table.name
        FORMATS[format].write(rows, table, path, raw)
        sys.stdout.flush()
        sys.stdout.buffer.write(path.read_bytes())


def _plain(rows: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """The rows as Python's own values, null as None."""
    for row in rows.astype(object).itertuples(index=False, name=None):
        yield tuple(None if _is_null(cell) else cell for cell in row)


def _is_null(cell: Any) -> bool:
    import pandas as pd

    return cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))
