"""`leaksweep serve`: a page to browse and query the results, on this machine alone."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli.options import DEFAULT_DB, Db
from sweep.cli.screen import say


def serve(
    db: Db = DEFAULT_DB,
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8001,
) -> None:
    """Browse and query the results in a browser until Ctrl-C.

    The page has each sweep with its report, its summary tables and its trials, follows one
    that runs, and takes SQL, with Datasette. The database is opened for reading only, and
    only this machine can open the page.

    Example: leaksweep serve --port 8123
    """
    from sweep.serve.launch import serve as serve_page

    serve_page(db, port, announce=_announce)
    say("Stopped.")


def _announce(address: str) -> None:
    say(f"Browse the results at {address} and stop with Ctrl-C.")
