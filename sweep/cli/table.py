"""`leaksweep table`: a summary table on the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli import completion
from sweep.cli.options import DEFAULT_DB, Db, Raw, SweepName, check_recorded
from sweep.cli.output import Format, print_rows
from sweep.cli.screen import print_table, say, telling
from sweep.errors import MisuseError

if TYPE_CHECKING:
    import pandas as pd


def table(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Which one; none, or one that there is not, is answered with all.",
            autocompletion=completion.tables,
        ),
    ] = None,
    sweep: SweepName = None,
    db: Db = DEFAULT_DB,
    format: Annotated[  # noqa: A002
        Format, typer.Option(metavar="|".join(Format), help="How to print it.")
    ] = Format.TABLE,
    raw: Raw = False,
) -> None:
    """Print a summary table, such as the one that ends `run`, which is called results.

    Texts that begin like a spreadsheet formula get a ' in front in CSV, unless --raw.

    Example: leaksweep table by_optimizer --format markdown
    """
    from analysis.exceptions import UnknownChoiceError
    from analysis.tables import SUMMARIES, summary_of

    if name is None:
        raise MisuseError(f"Which table? Valid: {', '.join(SUMMARIES)}.")
    if name not in SUMMARIES:
        raise UnknownChoiceError("table", name, tuple(SUMMARIES))
    check_recorded(db)
    with telling("Reading the trials..."):
        summary = summary_of(name, db, sweep)
        rows = summary.table(db, sweep)
    caption = summary.caption
    if format is Format.TABLE:
        print_summary(rows, name, caption)
    elif format in (Format.CSV, Format.JSON):
        print_rows(list(map(str, rows.columns)), _plain(rows), format, raw=raw)
    else:
        _write(rows, name, caption, format)
    if rows.empty:
        say(f"The table {name} has no rows: nothing that it is about is recorded.")


def print_summary(rows: pd.DataFrame, name: str, caption: str, *, most: int | None = None) -> None:
    """Prints a summary table for people, of very many rows the first ``most``."""
    from analysis.formats import for_readers

    table = for_readers(rows, name, caption)
    numeric = frozenset(place for place, is_number in enumerate(table.numeric) if is_number)
    print_table(table.columns, table.rows[:most], title=table.caption, numeric=numeric)


def _write(rows: pd.DataFrame, name: str, caption: str, format: Format) -> None:  # noqa: A002
    """Writes on stdout what `leaksweep export` would put into a file."""
    from analysis.formats import FileFormat, written

    if format is Format.PARQUET and sys.stdout.isatty():
        raise MisuseError(f"Parquet is not for a terminal: add > {name}.parquet")
    content = written(rows, name, caption, FileFormat(format))
    sys.stdout.flush()
    sys.stdout.buffer.write(content)


def _plain(rows: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """The rows as Python's own values, null as None."""
    for row in rows.astype(object).itertuples(index=False, name=None):
        yield tuple(None if _is_null(cell) else cell for cell in row)


def _is_null(cell: Any) -> bool:
    import pandas as pd

    return cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))
