"""`leaksweep table`, `export` and `report`: the summary tables printed, as files, as a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli import completion
from sweep.cli.help import argument, flag, option
from sweep.cli.options import DEFAULT_DB, Db, Raw, SweepName, check_recorded
from sweep.cli.output import Format
from sweep.cli.screen import harmless, print_table, say, telling
from sweep.errors import MisuseError

if TYPE_CHECKING:
    import pandas as pd


def table(
    name: Annotated[
        str | None,
        argument(
            "NAME",
            "Which one; none, or one that there is not, is answered with all.",
            offers=completion.tables,
        ),
    ] = None,
    sweep: SweepName = None,
    db: Db = DEFAULT_DB,
    format: Annotated[Format, option("|".join(Format), "How to print it.")] = Format.TABLE,
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
    if format is Format.TABLE:
        print_summary(rows, name, summary.caption)
    else:
        _write(rows, name, summary.caption, format, raw)
    if rows.empty:
        say(f"The table {name} has no rows: nothing that it is about is recorded.")


def print_summary(rows: pd.DataFrame, name: str, caption: str, *, most: int | None = None) -> None:
    """Prints a summary table for people, of very many rows the first ``most``."""
    from analysis.formats import for_readers

    table = for_readers(rows, name, caption)
    numeric = frozenset(place for place, is_number in enumerate(table.numeric) if is_number)
    print_table(table.columns, table.rows[:most], title=table.caption, numeric=numeric)


def _write(rows: pd.DataFrame, name: str, caption: str, format: Format, raw: bool) -> None:
    """Writes on stdout what `leaksweep export` would put into a file."""
    from analysis.formats import FileFormat, written

    to_people = sys.stdout.isatty()
    if format is Format.PARQUET and to_people:
        raise MisuseError(f"Parquet is not for a terminal: add > {name}.parquet")
    content = written(rows, name, caption, FileFormat(format), raw=raw)
    if to_people:
        sys.stdout.write(harmless(content.decode()))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)


def export(
    sweep: SweepName = None,
    out: Annotated[Path, option("DIR", "Where the files go.")] = Path("results/summary"),
    format: Annotated[
        str,
        option(
            "FORMATS", "One or several of csv, json, markdown, latex and parquet, joined by commas."
        ),
    ] = Format.CSV.value,
    every: Annotated[
        bool, flag("--all", "Write tables without rows, too, and those too long for a reader.")
    ] = False,
    figures: Annotated[bool, flag("--figures", "Write the figures, too, as PNG and SVG.")] = False,
    raw: Raw = False,
    db: Db = DEFAULT_DB,
) -> None:
    """Write the summary tables as files, one a table and format.

    A table without rows has no file. Markdown and LaTeX are for readers: numbers are rounded,
    what is the same in every row stands in the caption, and tables of more than 60 rows are left
    out. Texts that begin like a spreadsheet formula get a ' in front in CSV files, unless --raw.

    Example: leaksweep export --out summary --format csv,markdown --figures
    """
    from analysis.export import export_tables

    check_recorded(db)
    formats = tuple(name.strip() for name in format.split(","))
    try:
        with telling("Reading the trials and making the tables..."):
            files = export_tables(db, out, sweep=sweep, formats=formats, raw=raw, every=every)
    except OSError as error:
        raise MisuseError(f"Cannot write to {out}: {error.strerror or error}.") from error
    for file in files:
        if not file.reason:
            typer.echo(file.path)
    for file in files:
        if file.reason:
            say(f"Left out {file.path.name}: {file.reason}; --all writes it.")
    if figures:
        _export_figures(db, out, sweep)
    say(f"Wrote the summary tables{' and figures' if figures else ''} to {out}.")


def _export_figures(db: str, out: Path, sweep: str | None) -> None:
    """Writes the figures beside the tables, and says of each that is left out why."""
    from analysis.figures.drawn_files import export_figures

    with telling("Drawing the figures..."):
        drawn = list(export_figures(db, out, sweep=sweep))
    for files in drawn:
        for path in files.paths:
            typer.echo(path)
        if not files.paths:
            say(f"Left out {files.name}: {files.reason}.")


def report(
    sweep: SweepName = None,
    out: Annotated[Path, option("FILE.html", "The page's file.")] = Path("results/report.html"),
    db: Db = DEFAULT_DB,
) -> None:
    """Write one page with findings, figures and tables, which opens without a network.

    Example: leaksweep report --out report.html
    """
    from analysis.report.page import report as write_report

    check_recorded(db)
    with telling("Reading the trials and drawing the figures..."):
        path = write_report(db, out, sweep=sweep)
    typer.echo(path)
    say(f"Wrote the report, {path.stat().st_size / 1e6:.1f} MB. Open it in a browser.")
