"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.errors import MisuseError
from sweep.values.words import Backend


def trials_at_once(jobs: int | None) -> int:
    """``jobs`` where they were given, and otherwise one a core that this process may use."""
    from sweep.running.cores import cores

    return jobs or cores()


_GONE = {"loky": "processes", "threading": "processes, with --jobs 1 for one trial at a time"}


def _backend(word: str) -> Backend:
    """The backend of that name. Raises MisuseError, for one that is gone with what to take."""
    if word in _GONE:
        raise MisuseError(f"--backend {word} is gone: take {_GONE[word]}.")
    try:
        return Backend(word)
    except ValueError:
        raise MisuseError(
            f"--backend takes {' or '.join(Backend)}; {word!r} came. Without it, trials run in "
            f"processes of this machine."
        ) from None


def _normal(url: str) -> str:
    """The URL as every library that reads it takes it. Raises DatabaseError for what is none."""
    from sweep.store.url import parse_url

    return parse_url(url).text


BackendOption = Annotated[
    Backend,
    typer.Option(
        "--backend",
        parser=_backend,
        metavar="|".join(Backend),
        help="Processes of this machine, or a Dask cluster.",
    ),
]

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
