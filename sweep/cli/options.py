"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.errors import MisuseError


def trials_at_once(jobs: int | None) -> int:
    """``jobs`` where they were given, and otherwise one a core of this machine.

    Raises MisuseError where the environment has no number for the cores.
    """
    from joblib import cpu_count

    try:
        return jobs or int(cpu_count())
    except ValueError as error:
        raise MisuseError(
            f"LOKY_MAX_CPU_COUNT is the number of cores to use; {error}. Unset it, or give --jobs."
        ) from error


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
        metavar="DB",
        help="The database: a file, or an SQLAlchemy URL.",
        show_envvar=True,
        callback=_normal,
    ),
]
