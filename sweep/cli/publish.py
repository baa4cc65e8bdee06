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
        metavar="URL",
        help="The Optuna storage: sqlite:///FILE or postgresql+psycopg://...",
        show_default=False,
    ),
]


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

    Example: leaksweep publish article --storage sqlite:///optuna.db
    """
    from sweep.publishing.publish import publish as publish_sweep

    objectives = tuple(dict.fromkeys(objective or [Objective.DRIFT_RATIO]))
    done = publish_sweep(db, sweep, storage, objectives=objectives)
    say(
        f"Added {done.added:,} trials to the study {done.study!r} in {done.storage}; "
        f"{done.there:,} were there. To look at them: optuna-dashboard {done.storage}"
    )
