"""Arguments and options that several commands share."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Any

from sweep.cli import completion
from sweep.cli.help import argument, flag, option
from sweep.errors import MisuseError
from sweep.store import query
from sweep.store.url import DEFAULT_DB as DEFAULT_DB
from sweep.store.url import parse_url
from sweep.values.words import Backend

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


def _checked(given: str) -> str:
    """The database as messages spell it: a file as given. Raises DatabaseError for what is none."""
    url = parse_url(given)
    return given if url.path is not None else url.text


BackendOption = Annotated[
    Backend,
    option(
        "|".join(Backend),
        "Processes of this machine, or a Dask cluster.",
        "--backend",
        parser=_backend,
    ),
]

DB_VARIABLE = "LEAKSWEEP_DB"


def command(db: str, *words: object) -> str:
    """The command of these words that reads the database ``db``, ready to copy."""
    line, url = ["leaksweep", *map(str, words)], parse_url(db)
    told = (DEFAULT_DB, os.environ.get(DB_VARIABLE) or DEFAULT_DB)
    if url.text not in {parse_url(each).text for each in told}:
        line += ["--db", str(url.path or url.shown)]
    return shlex.join(line)


def check_recorded(db: str) -> None:
    """Raises, in the words of every command that reads, where ``db`` is no database of ours.

    NotThereError for one that is not there, DatabaseError for another program's or a newer one.
    """
    query.run_query(db, "SELECT 1").close()


def preset_option(default: str) -> Any:
    """The option that names a preset; ``default`` is what runs where nothing is named."""
    return option(
        "NAME",
        "Or a grid that comes with the program.",
        show_default=default,
        offers=completion.presets,
    )


def name_option(default: str | bool = True) -> Any:
    """The option that names the sweep; ``default`` says what it is called otherwise."""
    return option("NAME", "The sweep's name in the database.", show_default=default)


Db = Annotated[
    str,
    option(
        "DB",
        "The database: a file, or an SQLAlchemy URL.",
        "--db",
        envvar=DB_VARIABLE,
        show_envvar=True,
        callback=_checked,
    ),
]
SweepName = Annotated[
    str | None, argument("SWEEP", "One sweep; all if left out.", offers=completion.sweeps)
]
SpecFile = Annotated[Path | None, argument("SPEC.toml", "A grid of your own to begin from.")]
Replaced = Annotated[
    list[str] | None,
    option("AXIS=V1,V2", "Replace an axis in every grid.", "--set", offers=completion.assignments),
]
WorkloadName = Annotated[
    str | None,
    option(
        "NAME",
        "What is trained: one that is built in, or package.module:function.",
        offers=completion.workloads,
    ),
]
Steps = Annotated[int | None, option("N", "Steps of each trial.")]
Jobs = Annotated[int | None, option("N", "Trials at once.", min=1, show_default="one a core")]
TrialTimeout = Annotated[
    float | None,
    option("SECONDS", "Stop a trial that takes longer; it has failed.", show_default="no limit"),
]
TrialMemory = Annotated[
    float | None,
    option("MIB", "Stop a trial that takes more memory; it has failed.", show_default="no limit"),
]
Raw = Annotated[bool, flag("--raw", "Leave texts that a spreadsheet would run as formulas.")]
AllowImport = Annotated[bool, flag("--allow-import", "Import code of your own that a trial names.")]
