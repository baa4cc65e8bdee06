"""`leaksweep publish`: a sweep for Optuna's tools."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli import completion
from sweep.cli.options import DEFAULT_DB, Db
from sweep.cli.screen import say
from sweep.searching.objective import Objective

Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        metavar="STORAGE",
        help="The Optuna storage: a journal (FILE.log), a database's file, or a URL.",
        show_default=False,
    ),
]


MANY = 300


def publish(
    storage: Storage,
    sweep: Annotated[
        str | None,
        typer.Argument(
            metavar="SWEEP",
            help="Its name; needed where there are several.",
            autocompletion=completion.sweeps,
        ),
    ] = None,
    objective: Annotated[
        list[Objective] | None,
        typer.Option(
            metavar="NAME",
            help=f"What the study's values are, one or several of {', '.join(Objective)}.",
            show_default="drift_ratio",
        ),
    ] = None,
    db: Db = DEFAULT_DB,
) -> None:
    """Publish a sweep as an Optuna study; again adds what was recorded since.

    Trials that cannot be ranked are pruned ones, failed trials failed ones.

    Example: leaksweep publish article --storage optuna.log
    """
    from sweep.publishing.publish import publish as publish_sweep

    objectives = tuple(dict.fromkeys(objective or [Objective.DRIFT_RATIO]))
    done = publish_sweep(db, sweep, storage, objectives=objectives, observe=_say_how_long)
    if done.anew:
        say(f"The study {done.study!r} was made anew: it had other values than the sweep has now.")
    say(
        f"Added {done.added:,} trials to the study {done.study!r} in {done.storage}; "
        f"{done.there:,} were there. To look at them: optuna-dashboard {done.storage}"
    )


def _say_how_long(trials: int, at_once: bool) -> None:
    """Says so where it will take long: Optuna writes to a database trial by trial."""
    if trials > MANY and not at_once:
        say(
            f"Adding {trials:,} trials, each of which takes Optuna about a tenth of a second in a "
            f"database. A journal, such as --storage optuna.log, takes a thousand in a second."
        )
