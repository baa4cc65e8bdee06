"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_DB = "sqlite:///results/sweep.db"

Db = Annotated[
    str,
    typer.Option(
        "--db",
        envvar="LEAKSWEEP_DB",
        metavar="URL",
        help="The database, as an SQLAlchemy URL.",
        show_envvar=True,
    ),
]
