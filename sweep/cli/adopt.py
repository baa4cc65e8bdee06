"""`leaksweep adopt`: trials of an Optuna study as a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.options import DEFAULT_DB, Db, trials_at_once
from sweep.cli.output import cell_text
from sweep.cli.publish import Storage
from sweep.cli.screen import print_table, say
from sweep.errors import EXIT_NOT_THERE, MisuseError
from sweep.values.words import Verdict

if TYPE_CHECKING:
    from sweep.grid.spec import Spec
    from sweep.publishing.adopt import Compared, TheirStudy


def adopt(
    storage: Storage,
    study: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which study; needed where there are several."),
    ] = None,
    workload: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What to run the settings of another's study on."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Steps of each of those trials.")
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The optimizer, of a study that does not say it."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The sweep's name.", show_default="the study's"),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Trials at once.", show_default="one a core"),
    ] = None,
    db: Db = DEFAULT_DB,
) -> None:
    """Take the trials of an Optuna study in as a sweep.

    A study that `publish` made comes in as it was recorded. Of any other the settings are
    run here, and what the study says of them is printed beside.

    Example: leaksweep adopt --storage optuna.log --name theirs
    """
    from sweep.publishing.adopt import planned_spec, read_study

    found = read_study(storage, study)
    if found.mark is not None:
        if workload or steps or optimizer or jobs:
            raise MisuseError(
                f"The study {found.name!r} is a published sweep, whose trials are recorded as "
                f"they ran. Leave --workload, --steps, --optimizer and --jobs out."
            )
        _take(found, db, name)
        return
    spec = planned_spec(found, workload=workload, steps=steps, optimizer=optimizer, name=name)
    _run(found, spec, db, optimizer, jobs)


def _take(study: TheirStudy, db: str, name: str | None) -> None:
    from sweep.publishing.adopt import adopt_published
    from sweep.store.url import parse_url

    taken = adopt_published(study, db, name=name)
    say(f"The sweep {taken.sweep!r} has {taken.trials:,} trials of it in {parse_url(db).shown}.")
    if taken.left_out:
        say(f"{taken.left_out:,} trials that were added to the study since were left out.")


def _run(study: TheirStudy, spec: Spec, db: str, optimizer: str | None, jobs: int | None) -> None:
    from sweep.cli.progress import shown_progress
    from sweep.driver import run_sweep
    from sweep.grid import Grid
    from sweep.publishing.adopt import compared
    from sweep.running.runner import Runner
    from sweep.store.store import Store

    grid = Grid(spec)
    runner = Runner(trials_at_once(jobs))
    with Store.open(db) as store, shown_progress(spec.name) as observe:
        run_sweep(store, grid, runner, observe=observe)
    pairs = compared(study, db, spec.name, optimizer=optimizer)
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
