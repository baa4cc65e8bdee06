"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer


def _normal(url: str) -> str:
    """The URL as every library that reads it takes it. Raises DatabaseError for what is none."""
    from sweep.store.url import parse_url

    return parse_url(url).text


DEFAULT_DB = "sqlite:///results/sweep.db"

Db = Annotated[
    str,
    typer.Option(
        "--db",
        envvar="LEAKSWEEP_DB",
        metavar="URL",
        help="The database, as an SQLAlchemy URL.",
        show_envvar=True,
        callback=_normal,
    ),
]
