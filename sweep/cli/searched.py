"""What `leaksweep search` and `edge` do, and print and write at their end.

The worst that was found, the Pareto front, or the edges. Imported when one of them is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from analysis.exceptions import NothingToDrawError
from analysis.formats import csv_text
from analysis.whole_file import whole_file
from sweep.cli.options import command
from sweep.cli.output import cell_text
from sweep.cli.progress import shown_progress
from sweep.cli.screen import print_table, say
from sweep.cli.table import print_summary
from sweep.driver import Progress
from sweep.errors import EXIT_NOT_THERE
from sweep.grid.spec import Spec
from sweep.running.runner import Runner
from sweep.searching.edge import EdgeSearch, EdgesFound, find_edges
from sweep.searching.samplers import check_sampler
from sweep.searching.search import Loaded, Search, Searched, claim_search, rebuilt, run_search
from sweep.searching.space import Space
from sweep.searching.study import quiet_optuna
from sweep.searching.twins import check_scored
from sweep.searching.worst import GridTrials, Ranked, front, grid_trials, ranked, worst
from sweep.store.store import Store
from sweep.store.url import parse_url
from sweep.values.words import Axis, Verdict

WORST_SHOWN = 5
FRONT_SHOWN = 20


def look_for(
    search: Search, grid: Spec, db: str, runner: Runner, trials: int, out: Path | None
) -> None:
    """Runs ``trials`` trials of the search and prints the worst, or the Pareto front, of all.

    They stand beside the trials of ``grid``; a front is written to ``out``, too, if that is
    given. Raises typer.Exit(1) where trials have failed.
    """
    name = search.spec.name
    with quiet_optuna():
        space = search.space()
        check_sampler(search.sampler, search.objectives, space)
        check_scored(search.spec.workload, search.objectives)
        with Store.open(db) as store:
            claim_search(store, search)
            study = rebuilt(db, search, space)
            if study.rows:
                there = f"{len(study.rows):,} recorded trials in {study.seconds:.2f} s"
                say(f"{name}: loaded {there}.")
            done = _searched(store, search, space, study, runner, trials)
            found = rebuilt(db, search, space)
            _print_found(grid, search, found, db, out)
    _say_what_ran(name, done.progress, len(found.rows), db)
    if done.exhausted:
        say("It ended early: nothing new was proposed. The ranges may have no more to give.")
    _tell_of_failed(found.rows, name, db)


def _searched(
    store: Store, search: Search, space: Space, study: Loaded, runner: Runner, trials: int
) -> Searched:
    """Runs the search; says what was kept if it is interrupted."""
    with shown_progress(search.spec.name) as observe:
        try:
            return run_search(store, search, space, study, runner, trials=trials, observe=observe)
        except KeyboardInterrupt:
            there = store.tally(claim_search(store, search).id).total()
            ran = (there - len(study.rows)) // (2 if search.twins else 1)
            raise KeyboardInterrupt(
                f"{ran:,} of {trials:,} trials had finished; {there:,} are recorded in all. "
                f"--trials {trials - ran} runs the rest."
            ) from None


def _say_what_ran(name: str, progress: Progress, in_all: int, db: str) -> None:
    say(
        f"{name}: ran {progress.finished:,} trials in {progress.seconds:.1f} s, "
        f"{in_all:,} in all, recorded in {parse_url(db).shown}."
    )


def _tell_of_failed(rows: Iterable[Mapping[str, Any]], name: str, db: str) -> None:
    """Says how many have failed, and raises typer.Exit(1), if any."""
    if failed := sum(row["verdict"] == Verdict.FAILED for row in rows):
        say(f"{failed:,} of them failed. `{command(db, 'table', 'failures', name)}` says why.")
        raise typer.Exit(EXIT_NOT_THERE)


def _print_found(grid: Spec, search: Search, found: Loaded, db: str, out: Path | None) -> None:
    objectives = search.objectives
    theirs = grid_trials(db, grid, objectives, searched=search.spec.name)
    ours = ranked(found.rows, objectives)
    several = len(objectives) > 1
    chosen = front(found.study, found.rows, objectives) if several else worst(ours, objectives[0])
    shown = chosen[: FRONT_SHOWN if several else WORST_SHOWN]
    grids = [
        worst(theirs.trials, each, place)[0] for place, each in enumerate(objectives) if theirs
    ]
    what = "Pareto front" if several else f"worst {objectives[0].column}"
    print_table(
        ("", *_columns(search), *Axis, "options", "verdict", "trial"),
        [_cells("found", each) for each in shown] + [_cells("grid", each) for each in grids],
        title=f"{search.spec.name}: {what} of {len(found.rows):,} trials",
        numeric=frozenset(range(1, len(objectives) + 1)),
    )
    if len(shown) < len(chosen) and several:
        say(f"{len(chosen):,} trials are on the front; --out DIR writes them all.")
    if theirs is None:
        say("The grid itself is not recorded; `leaksweep run` records it to compare with.")
    elif chosen:
        _say_which_is_worse(chosen, grids, theirs, search)
    if out is not None:
        _write_front(out, search, chosen, ours, theirs)


def _cells(whose: str, trial: Ranked) -> tuple[str, ...]:
    options = json.loads(trial.row["options"]).items()  # without what JSON needs, and people not
    return (
        whose,
        *(f"{value:.6g}" for value in trial.values),
        *(cell_text(trial.row[axis]) for axis in Axis),
        ", ".join(f"{name}={cell_text(value)}" for name, value in options),
        str(trial.row["verdict"]),
        cell_text(trial.row.get("id")),
    )


def _say_which_is_worse(
    chosen: Sequence[Ranked], grids: Sequence[Ranked], theirs: GridTrials, search: Search
) -> None:
    for place, objective in enumerate(search.objectives):
        ours = worst(chosen, objective, place)[0].values[place]
        word = "smallest" if objective.direction == "minimize" else "largest"
        say(
            f"The {word} {objective.column} found is {ours:.6g}; the grid's is "
            f"{grids[place].values[place]:.6g} ({len(theirs.trials):,} trials, {theirs.where})."
        )


def _write_front(
    out: Path,
    search: Search,
    chosen: Sequence[Ranked],
    ours: Sequence[Ranked],
    theirs: GridTrials | None,
) -> None:
    """Writes the front, and as a figure all trials by the first two objectives, if several."""
    from analysis.figures.pareto import DrawnObjective, pareto_front

    table = pd.DataFrame(_records(chosen, search))
    if len(search.objectives) < 2:
        _write(out, "front", table)
        return
    of_front = {each.row["id"] for each in chosen}
    others = [each for each in ours if each.row["id"] not in of_front]
    kinds = (("grid", theirs.trials if theirs else ()), ("searched", others), ("front", chosen))
    records = [each | {"kind": kind} for kind, trials in kinds for each in _records(trials, search)]
    columns = [*_columns(search), *Axis, "verdict", "options", "kind"]
    y, x = (DrawnObjective(o.column, o.direction == "maximize") for o in search.objectives[:2])
    _write(out, "front", table, lambda: pareto_front(pd.DataFrame(records, columns=columns), x, y))


def _records(trials: Iterable[Ranked], search: Search) -> list[dict[str, Any]]:
    names = (*Axis, "verdict", "options")
    return [
        dict(zip(_columns(search), each.values, strict=True))
        | {name: each.row[name] for name in names}
        for each in trials
    ]


def _columns(search: Search) -> list[str]:
    return [objective.column for objective in search.objectives]


def look_for_edges(search: EdgeSearch, db: str, runner: Runner, out: Path | None) -> None:
    """Runs what the search lacks, prints every edge, and writes them to ``out`` if that is given.

    Raises typer.Exit(1) where trials have failed.
    """
    name = search.spec.name
    search.lines()  # what is wrong is told before there is a database
    runner.check()
    with Store.open(db) as store, shown_progress(name) as observe:
        found = find_edges(store, db, search, runner, observe=observe)
    _print_edges(search, found, out)
    _say_what_ran(name, found.progress, found.progress.planned, db)
    _tell_of_failed((row for _, row in found.points), name, db)


def _print_edges(search: EdgeSearch, found: EdgesFound, out: Path | None) -> None:
    axis = search.along.name
    edges = _edge_frame(axis, found)
    if found.edges:
        caption = f"{search.spec.name}: where along {axis} the verdict changes."
        print_summary(edges, "edges", caption)
    else:
        _say_all_the_same(search, found)
    if out is not None:
        from analysis.figures.verdict_edges import edge_figure

        points = pd.DataFrame(
            {
                "optimizer": planned.setting.optimizer,
                "value": getattr(planned.setting, axis),
                "verdict": str(row["verdict"]),
                "drift": row["total_drift"],
            }
            for planned, row in found.points
        )
        _write(out, "edges", edges, lambda: edge_figure(points, edges, axis, log=search.along.log))


def _edge_frame(axis: str, found: EdgesFound) -> pd.DataFrame:
    """A row an edge: the axes that stay, both sides with their verdicts, and the drift.

    ``drift`` is how far the layer moved in the trial beside the edge that leaks; NaN where
    neither does.
    """
    stays = [each.value for each in Axis if each != axis]
    rows = []
    for edge in found.edges:
        sides = (edge.row_below, edge.row_above)
        drift = [side["total_drift"] for side in sides if side["verdict"] == "leaks"]
        setting = [getattr(edge.below.setting, each) for each in stays]
        values = (getattr(each.setting, axis) for each in (edge.below, edge.above))
        verdicts = (str(side["verdict"]) for side in sides)
        rows.append([*setting, *values, *verdicts, drift[0] if drift else float("nan")])
    measured = ("below", "above", "verdict_below", "verdict_above", "drift")
    return pd.DataFrame(rows, columns=[*stays, *measured])


def _say_all_the_same(search: EdgeSearch, found: EdgesFound) -> None:
    verdicts = sorted({str(row["verdict"]) for _, row in found.points})
    along = f"from {search.along.low:g} to {search.along.high:g}"
    if len(verdicts) == 1:
        said = f"the verdict is {verdicts[0]} at all of the values tried {along}"
    else:
        said = f"each setting keeps its verdict {along} ({', '.join(verdicts)})"
    say(f"{search.spec.name}: no edge along {search.along.name}: {said}.")


def _write(
    out: Path, stem: str, rows: pd.DataFrame, figure: Callable[[], Any] | None = None
) -> None:
    """Writes the rows as CSV and the figure beside them; says where, and why there is none."""
    from analysis.figures.drawn_files import write_figure

    out.mkdir(parents=True, exist_ok=True)
    written = [out / f"{stem}.csv"]
    with whole_file(written[0]) as unfinished:
        unfinished.write_text(csv_text(rows), encoding="utf-8")
    try:
        written += write_figure(figure(), out / stem) if figure else ()
    except NothingToDrawError as nothing:
        say(f"No figure: {nothing}.")
    say(f"Wrote {', '.join(map(str, written))}.")
