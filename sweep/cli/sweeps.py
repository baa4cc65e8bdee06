"""`leaksweep sweep`: sweeps kept in order."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sweep.cli import completion
from sweep.cli.help import argument, flag, group
from sweep.cli.options import DEFAULT_DB, Db
from sweep.cli.output import Format, PrintedAs, print_rows
from sweep.cli.screen import say
from sweep.errors import EXIT_NOT_THERE
from sweep.store import query

Known = Annotated[str, argument("SWEEP", "Its name.", offers=completion.sweeps)]


def list_(
    db: Db = DEFAULT_DB,
    format: PrintedAs = Format.TABLE,
) -> None:
    """List the sweeps of the database, oldest first.

    Example: leaksweep sweep list
    """
    rows = [(s.name, s.planned, s.done, f"{s.created_at:%Y-%m-%d}") for s in query.sweep_status(db)]
    print_rows(("sweep", "planned", "done", "created"), rows, format)


def rename(
    sweep: Known,
    new: Annotated[str, argument("NEW", "The name that it gets.")],
    db: Db = DEFAULT_DB,
) -> None:
    """Give a sweep another name.

    Example: leaksweep sweep rename article article-2026
    """
    from sweep.store.keeping import rename_sweep
    from sweep.store.store import Store

    query.sweep_status(db, sweep)  # raises where there is none, and no database is made
    with Store.open(db) as store:
        rename_sweep(store, sweep, new)
    say(f"The sweep {sweep!r} is called {new!r} now.")


def delete(
    sweep: Known,
    yes: Annotated[bool, flag("--yes", "Do not ask.")] = False,
    db: Db = DEFAULT_DB,
) -> None:
    """Delete a sweep with its trials; asks first, unless --yes.

    Example: leaksweep sweep delete article --yes
    """
    from sweep.store.keeping import contents, delete_sweep
    from sweep.store.store import Store

    query.sweep_status(db, sweep)
    with Store.open(db) as store:
        there = contents(store, sweep)
        what = f"the sweep {sweep!r} with {there.trials:,} trials and {there.steps:,} steps"
        if not yes:
            typer.echo(f"Delete {what} from {store.shown}? [y/N] ", nl=False, err=True)
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):  # or nobody is there
                say("Nothing was deleted.")
                raise typer.Exit(EXIT_NOT_THERE)
        delete_sweep(store, sweep)
    say(f"Deleted {what}.")


def merge(
    other: Annotated[list[str], argument("OTHER.db...", "Files, or URLs.")],
    db: Db = DEFAULT_DB,
    format: PrintedAs = Format.TABLE,
) -> None:
    """Take the sweeps of other databases into this one, with their environments.

    Sweeps of one name become one, if their grids can. What is here already stays as it is.

    Example: leaksweep sweep merge other.db
    """
    from sweep.grid.recorded_spec import united
    from sweep.store.merging import merge_sweeps
    from sweep.store.store import Store

    for each in other:
        query.sweep_status(each)  # raises where there is none, and nothing is made
    with Store.open(db) as store:
        merged = [(each, m) for each in other for m in merge_sweeps(store, each, unite=united)]
    rows = [(each, m.sweep, m.added, m.there) for each, m in merged]
    print_rows(("from", "sweep", "added", "there already"), rows, format)


app = group(
    "Keep sweeps in order: list, rename, delete or merge them.", list_, rename, delete, merge
)
