"""`leaksweep status` and `leaksweep sql`: reading the database, and only reading."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli.options import DEFAULT_DB, Db, SweepName
from sweep.cli.output import Format, PrintedAs, print_rows

MAX_TIMEOUT_S = 1_000_000
"""Eleven days: PostgreSQL takes no more than twice as much."""


def status(
    sweep: SweepName = None,
    db: Db = DEFAULT_DB,
    format: PrintedAs = Format.TABLE,  # noqa: A002
) -> None:
    """Show how far each sweep is: planned, done, failed, remaining.

    Example: leaksweep status article
    """
    from sweep.store.query import sweep_status

    columns = ("sweep", "planned", "done", "failed", "remaining", "leaks", "holds", "inert")
    print_rows(
        columns,
        [
            (s.name, s.planned, s.done, s.failed, s.remaining, s.leaks, s.holds, s.inert)
            for s in sweep_status(db, sweep)
        ],
        format,
    )


def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT statement.")],
    db: Db = DEFAULT_DB,
    format: PrintedAs = Format.TABLE,  # noqa: A002
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0, max=MAX_TIMEOUT_S, help="Stop a query that takes longer."
        ),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave texts that a spreadsheet would run as formulas.")
    ] = False,
) -> None:
    """Query the results. The database is opened for reading only, whatever the query says.

    Texts that begin like a spreadsheet formula get a ' in front in CSV, unless --raw.

    Example: leaksweep sql "SELECT * FROM leak_rate_by_optimizer"
    """
    from sweep.store.query import run_query

    with run_query(db, query, timeout_s=timeout) as result:
        print_rows(result.columns, result, format, raw=raw)
