"""What `leaksweep search` and `edge` do, and print and write at their end.

The worst that was found, the Pareto front, or the edges. Imported when one of them is run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from analysis.exceptions import NothingToDrawError, SweepMissingError
from analysis.export import whole_file
from analysis.formats import csv_text
from analysis.found import edges, pareto, with_change_of_score, worst_first
from analysis.load import load_trials
from analysis.schema import SweepKind, typed
from sweep.cli.options import command
from sweep.cli.output import cell_text
from sweep.cli.progress import shown_progress
from sweep.cli.screen import print_table, say
from sweep.cli.table import print_summary
from sweep.driver import Progress
from sweep.errors import EXIT_NOT_THERE
from sweep.grid.spec import Spec
from sweep.running.runner import Runner
from sweep.searching.claims import claim_search
from sweep.searching.edge import EdgeSearch, find_edges
from sweep.searching.objective import check_scored
from sweep.searching.samplers import check_sampler
from sweep.searching.search import Dialogue, Search, rebuilt, run_search
from sweep.searching.study import quiet_optuna
from sweep.store.store import Store
from sweep.store.url import parse_url
from sweep.values.words import Axis, Verdict

WORST_SHOWN = 5
FRONT_SHOWN = 20
REFERENCE = Path(__file__).parents[2] / "results" / "reference"
"""The committed results of the presets, where the program runs from its repository."""

_SHOWN = (*(axis.value for axis in Axis), "options", "verdict")
_WORDS = (Axis.OPTIMIZER, Axis.ZERO_GRAD, Axis.SCHEDULE, Axis.FREEZE, Axis.SEED)


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
            claim_search(store, search.spec, search.how())
            started = time.monotonic()
            dialogue = rebuilt(db, search, space)
            if dialogue.shown:
                there = f"{len(dialogue.shown):,} recorded trials"
                say(f"{name}: loaded {there} in {time.monotonic() - started:.2f} s.")
            done = _searched(store, dialogue, runner, trials)
    found = load_trials(db, name)
    _print_found(grid, search, found, db, out)
    _say_what_ran(name, done, len(found), db)
    if dialogue.exhausted:
        say("It ended early: nothing new was proposed. The ranges may have no more to give.")
    _tell_of_failed(found, name, db)


def _searched(store: Store, dialogue: Dialogue, runner: Runner, trials: int) -> Progress:
    """Runs the search; says what was kept if it is interrupted."""
    search, before = dialogue.search, len(dialogue.shown)
    with shown_progress(search.spec.name) as observe:
        try:
            return run_search(store, dialogue, runner, trials=trials, observe=observe)
        except KeyboardInterrupt:
            there = store.tally(claim_search(store, search.spec, search.how()).id).total()
            ran = (there - before) // (2 if search.twins else 1)
            raise KeyboardInterrupt(
                f"{ran:,} of {trials:,} trials had finished; {there:,} are recorded in all. "
                f"--trials {trials - ran} runs the rest."
            ) from None


def look_for_edges(search: EdgeSearch, db: str, runner: Runner, out: Path | None) -> None:
    """Runs what the search lacks, prints every edge, and writes them to ``out`` if that is given.

    Raises typer.Exit(1) where trials have failed.
    """
    axis, name = search.axis, search.spec.name
    search.lines()  # what is wrong is told before there is a database
    runner.check()
    with Store.open(db) as store, shown_progress(name) as observe:
        progress = find_edges(store, db, search, runner, observe=observe)
    trials = load_trials(db, name)
    found = edges(trials, axis).drop(columns="options")
    if len(found):
        print_summary(found, "edges", f"{name}: where along {axis} the verdict changes.")
    else:
        _say_all_the_same(search, trials)
    if out is not None:
        from analysis.figures.verdict_edges import edge_figure

        _write(out, "edges", found, lambda: edge_figure(trials, found, axis, log=search.along.log))
    _say_what_ran(name, progress, progress.planned, db)
    _tell_of_failed(trials, name, db)


def _say_what_ran(name: str, progress: Progress, in_all: int, db: str) -> None:
    say(
        f"{name}: ran {progress.finished:,} trials in {progress.seconds:.1f} s, "
        f"{in_all:,} in all, recorded in {parse_url(db).shown}."
    )


def _tell_of_failed(trials: pd.DataFrame, name: str, db: str) -> None:
    """Says how many have failed, and raises typer.Exit(1), if any."""
    if failed := int((trials["verdict"] == Verdict.FAILED).sum()):
        say(f"{failed:,} of them failed. `{command(db, 'table', 'failures', name)}` says why.")
        raise typer.Exit(EXIT_NOT_THERE)


def _say_all_the_same(search: EdgeSearch, trials: pd.DataFrame) -> None:
    verdicts = sorted(trials["verdict"].astype(str).unique())
    along = f"from {search.along.low:g} to {search.along.high:g}"
    if len(verdicts) == 1:
        said = f"the verdict is {verdicts[0]} at all of the values tried {along}"
    else:
        said = f"each setting keeps its verdict {along} ({', '.join(verdicts)})"
    say(f"{search.spec.name}: no edge along {search.axis}: {said}.")


@dataclass(frozen=True, slots=True)
class GridTrials:
    """The trials of a grid that have all objectives, and where they were found."""

    where: str
    trials: pd.DataFrame


def _print_found(
    grid: Spec, search: Search, trials: pd.DataFrame, db: str, out: Path | None
) -> None:
    objectives = _columns(search)
    theirs = grid_trials(db, grid, search)
    ours = _ranked(trials, objectives)
    several = len(objectives) > 1
    chosen = pareto(ours, objectives) if several else ours
    shown = chosen.head(FRONT_SHOWN if several else WORST_SHOWN)
    lines = [("found", row) for _, row in shown.iterrows()]
    if theirs is not None:
        lines += [("grid", _worst(theirs.trials, name)) for name in objectives]
    what = "Pareto front" if several else f"worst {objectives[0]}"
    print_table(
        ("", *objectives, *_SHOWN, "trial"),
        [(whose, *_cells(row, objectives)) for whose, row in lines],
        title=f"{search.spec.name}: {what} of {len(trials):,} trials",
        numeric=frozenset(range(1, len(objectives) + 1)),
    )
    if len(shown) < len(chosen) and several:
        say(f"{len(chosen):,} trials are on the front; --out DIR writes them all.")
    if theirs is None:
        say("The grid itself is not recorded; `leaksweep run` records it to compare with.")
    elif len(chosen):
        _say_which_is_worse(chosen, theirs, search)
    if out is not None:
        _write_front(out, search, chosen, ours, theirs)


def grid_trials(db: str, grid: Spec, search: Search) -> GridTrials | None:
    """The trials of the sweep of ``grid``, which has its name in ``db``, the worst first.

    Of a preset that is not recorded there, those of the committed results. Only trials of the
    grid's workload, number of steps and words, which may have been replaced by others; None
    where there are none. A sweep that was searched, too, is no grid.
    """
    for where, trials in _sources(db, grid.name):
        found = _ranked(trials[_is_of(grid, trials)], _columns(search))
        if len(found):
            return GridTrials(where, found)
    return None


def _sources(db: str, name: str) -> Iterator[tuple[str, pd.DataFrame]]:
    with suppress(SweepMissingError):
        yield f"the sweep {name!r}", load_trials(db, name, kinds=frozenset({SweepKind.GRID}))
    path = REFERENCE / name / "trials.csv.gz"
    if path.is_file() and path.parent.parent == REFERENCE:
        yield f"results/reference/{name}", typed(pd.read_csv(path, low_memory=False))


def _is_of(grid: Spec, trials: pd.DataFrame) -> pd.Series:
    """Whether the grid has each trial's workload, steps and words; its numbers may be others."""
    alike = (trials["workload"] == grid.workload) & (trials["steps"] == grid.steps)
    words = [
        reduce(and_, (trials[axis].isin([*getattr(each, axis)]) for axis in _WORDS))
        for each in grid.grid
    ]
    return alike & reduce(or_, words)


def _ranked(trials: pd.DataFrame, objectives: list[str]) -> pd.DataFrame:
    """Those of ``trials`` that have all ``objectives``, as real numbers, the worst first."""
    found = worst_first(with_change_of_score(trials), objectives)
    return found.astype(dict.fromkeys(objectives, "float64"))


def _columns(search: Search) -> list[str]:
    return [objective.column for objective in search.objectives]


def _worst(trials: pd.DataFrame, objective: str) -> pd.Series:
    return worst_first(trials, [objective]).iloc[0]


def _cells(row: pd.Series, objectives: list[str]) -> list[str]:
    options = json.loads(row["options"]).items()  # without what JSON needs and people do not
    told = {"options": ", ".join(f"{name}={cell_text(value)}" for name, value in options)}
    rest = (told.get(name, row.get(name)) for name in (*_SHOWN, "id"))
    values = [f"{row[name]:.6g}" for name in objectives]
    return values + ["" if pd.isna(cell) else cell_text(cell) for cell in rest]


def _say_which_is_worse(chosen: pd.DataFrame, theirs: GridTrials, search: Search) -> None:
    for objective in search.objectives:
        name = objective.column
        ours, grids = (_worst(each, name)[name] for each in (chosen, theirs.trials))
        word = "smallest" if objective.direction == "minimize" else "largest"
        say(
            f"The {word} {name} found is {ours:.6g}; the grid's is {grids:.6g} "
            f"({len(theirs.trials):,} trials, {theirs.where})."
        )


def _write_front(
    out: Path, search: Search, chosen: pd.DataFrame, ours: pd.DataFrame, theirs: GridTrials | None
) -> None:
    """Writes the front, and as a figure all trials by the first two objectives, if several."""
    from analysis.figures.pareto import pareto_front

    names = _columns(search)
    kinds = {"searched": ours.drop(chosen.index), "front": chosen}
    kinds |= {"grid": theirs.trials} if theirs is not None else {}
    points = pd.concat([trials.assign(kind=kind) for kind, trials in kinds.items()])
    table = chosen[[*names, *Axis, "verdict", "options"]]
    figure = (lambda: pareto_front(points, x=names[1], y=names[0])) if len(names) > 1 else None
    _write(out, "front", table, figure)


def _write(out: Path, stem: str, rows: pd.DataFrame, figure: Callable[[], Any] | None) -> None:
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
