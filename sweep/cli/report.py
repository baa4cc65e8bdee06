"""`leaksweep report`: the results as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.options import DEFAULT_DB, Db, SweepName, check_recorded
from sweep.cli.screen import say, telling


def report(
    sweep: SweepName = None,
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The page's file.")] = Path(
        "results/report.html"
    ),
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
