"""`leaksweep publish` and `adopt`: a sweep as an Optuna study, and a study as a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli import completion
from sweep.cli.help import argument, option
from sweep.cli.options import DEFAULT_DB, Db, Jobs
from sweep.cli.output import cell_text
from sweep.cli.run import grid_run
from sweep.cli.screen import print_table, say
from sweep.errors import EXIT_NOT_THERE, MisuseError
from sweep.searching.objective import Objective
from sweep.store.url import parse_url
from sweep.values.words import Verdict

if TYPE_CHECKING:
    from sweep.publishing.adopt import Compared

Storage = Annotated[
    str,
    option(
        "STORAGE",
        "The Optuna storage: a journal (FILE.log), a database's file, or a URL.",
        "--storage",
        show_default=False,
    ),
]
MANY = 300


def publish(
    storage: Storage,
    sweep: Annotated[
        str | None,
        argument("SWEEP", "Its name; needed where there are several.", offers=completion.sweeps),
    ] = None,
    objective: Annotated[
        list[Objective] | None,
        option(
            "NAME",
            f"What the study's values are, one or several of {', '.join(Objective)}.",
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


def adopt(
    storage: Storage,
    study: Annotated[
        str | None, option("NAME", "Which study; needed where there are several.")
    ] = None,
    workload: Annotated[
        str | None, option("NAME", "What to run the settings of another's study on.")
    ] = None,
    steps: Annotated[int | None, option("N", "Steps of each of those trials.", min=1)] = None,
    optimizer: Annotated[
        str | None, option("NAME", "The optimizer, of a study that does not say it.")
    ] = None,
    name: Annotated[
        str | None, option("NAME", "The sweep's name.", show_default="the study's")
    ] = None,
    jobs: Jobs = None,
    db: Db = DEFAULT_DB,
) -> None:
    """Take the trials of an Optuna study in as a sweep.

    A study that `publish` made comes in as it was recorded. Of any other the settings are
    run here, and what the study says of them is printed beside.

    Example: leaksweep adopt --storage optuna.log --name theirs
    """
    from sweep.grid import Grid
    from sweep.publishing.adopt import adopt_published, compared, planned_spec, read_study
    from sweep.running.runner import Runner

    found = read_study(storage, study)
    if found.mark is not None:
        if workload or steps or optimizer or jobs:
            raise MisuseError(
                f"The study {found.name!r} is a published sweep, whose trials are recorded as "
                f"they ran. Leave --workload, --steps, --optimizer and --jobs out."
            )
        taken, where = adopt_published(found, db, name=name), parse_url(db).shown
        say(f"The sweep {taken.sweep!r} has {taken.trials:,} trials of it in {where}.")
        if taken.left_out:
            say(f"{taken.left_out:,} trials that were added to the study since were left out.")
        return
    spec = planned_spec(found, workload=workload, steps=steps, optimizer=optimizer, name=name)
    with grid_run(Grid(spec), db, Runner(jobs)):
        pairs = compared(found, db, spec.name, optimizer=optimizer)
    _print(spec.name, pairs)
    if any(pair.here and pair.here["verdict"] == Verdict.FAILED for pair in pairs):
        raise typer.Exit(EXIT_NOT_THERE)


def _print(name: str, pairs: Sequence[Compared]) -> None:
    rows = [
        (
            str(pair.theirs.number),
            ", ".join(f"{value:.6g}" for value in pair.theirs.values or ()),
            *(_here(pair, column) for column in ("optimizer", "verdict", "drift_ratio")),
        )
        for pair in pairs
    ]
    heads = ("trial", "their value", "optimizer", "verdict", "drift_ratio")
    print_table(heads, rows, title=f"{name}: the study's trials, run here")


def _here(pair: Compared, column: str) -> str:
    if pair.here is None:
        return "left out" if column == "verdict" else ""
    return cell_text(pair.here[column])
