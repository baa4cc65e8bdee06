"""`leaksweep export`: the summary tables and the figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.options import DEFAULT_DB, Db, Raw, SweepName, check_recorded
from sweep.cli.output import Format
from sweep.cli.screen import say, telling
from sweep.errors import MisuseError


def export(
    sweep: SweepName = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path(
        "results/summary"
    ),
    format: Annotated[  # noqa: A002
        str,
        typer.Option(
            metavar="FORMATS",
            help="One or several of csv, json, markdown, latex and parquet, joined by commas.",
        ),
    ] = Format.CSV.value,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Write tables without rows, too, and those too long for a reader."
        ),
    ] = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="Write the figures, too, as PNG and SVG.")
    ] = False,
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

    formats = tuple(name.strip() for name in format.split(","))
    check_recorded(db)
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
