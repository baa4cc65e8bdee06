"""`leaksweep status`, `sql` and `serve`: reading the database, and only reading."""

from __future__ import annotations

import textwrap
from typing import Annotated

from sweep.cli.help import argument, option
from sweep.cli.options import DEFAULT_DB, Db, Raw, SweepName
from sweep.cli.output import Format, PrintedAs, print_rows
from sweep.cli.screen import say
from sweep.errors import MisuseError
from sweep.store import query
from sweep.store.activity import activity

COUNTS = ("name", "planned", "done", "failed", "remaining", "leaks", "holds", "inert")
COURSE = ("running", "trials_a_second", "seconds_left", "begun", "last_finished")
MINUTE = "%Y-%m-%d %H:%M"
MOST_LOOKED_AT = 50

MOST_QUOTED = 100
IN_QUOTES = 'In quotes it is one: leaksweep sql "SELECT count(*) FROM trial"'

MAX_TIMEOUT_S = 1_000_000
"""Eleven days: PostgreSQL takes no more than twice as much."""


def status(
    sweep: SweepName = None,
    db: Db = DEFAULT_DB,
    format: PrintedAs = Format.TABLE,
) -> None:
    """Show how far each sweep is, how fast it goes, and whether somebody is running it.

    The pace is that of the latest trials, and the time left is what that makes of the rest.
    Times are UTC.

    Example: leaksweep status article
    """
    found = query.sweep_status(db, sweep)
    rows = [
        (*(getattr(each, name) for name in COUNTS), *_course(db, each, len(found)))
        for each in found
    ]
    print_rows(("sweep", *COUNTS[1:], *COURSE), rows, format)


def _course(db: str, status: query.SweepStatus, sweeps: int) -> tuple[object, ...]:
    """How the sweep goes; only when it was begun where there are too many to look at each."""
    begun = f"{status.created_at:{MINUTE}}"
    if sweeps > MOST_LOOKED_AT:
        return (None, None, None, begun, None)
    now = activity(db, status.id)
    goes_on = status.remaining > 0 and now.running is not False
    left = round(status.remaining / now.a_second) if goes_on and now.a_second else None
    last = None if now.last_at is None else f"{now.last_at:{MINUTE}}"
    running = {True: "yes", False: "no", None: None}[now.running]
    return (running, now.a_second, left, begun, last)


def sql(
    words: Annotated[list[str], argument("QUERY", "One SELECT statement, in quotes.")],
    db: Db = DEFAULT_DB,
    format: PrintedAs = Format.TABLE,
    timeout: Annotated[
        float | None, option("SECONDS", "Stop a query that takes longer.", min=0, max=MAX_TIMEOUT_S)
    ] = None,
    raw: Raw = False,
) -> None:
    """Query the results. The database is opened for reading only, whatever the query says.

    Texts that begin like a spreadsheet formula get a ' in front in CSV, unless --raw.

    Example: leaksweep sql "SELECT * FROM leak_rate_by_optimizer"
    """
    if len(words) > 1:
        came = textwrap.shorten(" ".join(words), MOST_QUOTED, placeholder=" ...")
        raise MisuseError(f"The query came in {len(words):,} words ({came}). {IN_QUOTES}")
    with query.run_query(db, words[0], timeout_s=timeout) as result:
        print_rows(result.columns, result, format, raw=raw)


def serve(
    db: Db = DEFAULT_DB,
    port: Annotated[int, option("N", "The port; 0 takes a free one.", min=0, max=65535)] = 8001,
) -> None:
    """Browse and query the results in a browser until Ctrl-C.

    The page has each sweep with its report, its summary tables and its trials, follows one
    that runs, and takes SQL, with Datasette. The database is opened for reading only, and
    only this machine can open the page.

    Example: leaksweep serve --port 8123
    """
    from sweep.serve.launch import serve as serve_page

    stop = "and stop with Ctrl-C."
    serve_page(db, port, announce=lambda address: say(f"Browse the results at {address} {stop}"))
    say("Stopped.")
