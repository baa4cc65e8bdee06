"""`leaksweep edge`: where along a number of the setting the verdict changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.options import (
    DEFAULT_DB,
    Db,
    Jobs,
    Replaced,
    SpecFile,
    Steps,
    TrialMemory,
    TrialTimeout,
    WorkloadName,
    name_option,
    tell_of_failed,
    trials_at_once,
)
from sweep.cli.screen import say
from sweep.cli.search import Preset, grid_to_begin_from, pinned
from sweep.cli.searched import write_found
from sweep.cli.table import print_summary
from sweep.values.words import Verdict

if TYPE_CHECKING:
    import pandas as pd

    from sweep.running.runner import Runner
    from sweep.searching.edge import EdgeSearch


def edge(
    axis: Annotated[str, typer.Argument(metavar="AXIS", help="lr, weight_decay or momentum.")],
    spec: SpecFile = None,
    preset: Preset = None,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="LO:HI[:log]",
            help="From where to where along AXIS.",
            show_default="as search",
        ),
    ] = None,
    points: Annotated[
        int,
        typer.Option(metavar="N", min=2, help="Even values to begin with, for each setting."),
    ] = 13,
    tolerance: Annotated[
        float,
        typer.Option(metavar="PART", help="How near the two sides come, as a part of the value."),
    ] = 1e-6,
    set_: Replaced = None,
    workload: WorkloadName = None,
    steps: Steps = None,
    name: Annotated[str | None, name_option("such as full-edge-lr")] = None,
    db: Db = DEFAULT_DB,
    jobs: Jobs = None,
    trial_timeout: TrialTimeout = None,
    trial_memory: TrialMemory = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the edges: CSV, PNG, SVG.")
    ] = None,
) -> None:
    """Find where along AXIS the verdict changes, for each setting of a grid and each seed.

    The axis is sampled evenly, then halved wherever the verdict changes. The trials are a
    sweep of their own; the same command again runs what it still lacks.

    Example: leaksweep edge weight_decay --preset article --workload small --range 1e-9:0.1:log
    """
    from sweep.grid.spec_file import with_overrides
    from sweep.running.limits import Limits
    from sweep.running.runner import Runner
    from sweep.searching.edge import EdgeSearch, check_axis
    from sweep.searching.ranges import parse_ranges

    check_axis(axis)
    text = axis if range_ is None else f"{axis}={range_}"
    (along,) = parse_ranges([text], pinned=pinned(set_ or ())).values()
    grid = grid_to_begin_from(spec, preset, set_ or (), workload, steps)
    named = with_overrides(grid, name=name or f"{grid.name}-edge-{axis}")
    runner = Runner(trials_at_once(jobs), limits=Limits(trial_timeout, trial_memory))
    _find(EdgeSearch(named, axis, along, points, tolerance), db, runner, out)


def _find(search: EdgeSearch, db: str, runner: Runner, out: Path | None) -> None:
    """Finds the edges and prints them. Raises typer.Exit(1) where trials have failed."""
    from analysis.figures.verdict_edges import edge_figure
    from analysis.found import edges
    from analysis.load import load_trials
    from sweep.cli.progress import shown_progress
    from sweep.searching.edge import find_edges
    from sweep.store.store import Store
    from sweep.store.url import parse_url

    search.lines()  # what is wrong is told before there is a database
    runner.check()
    axis, name = search.axis, search.spec.name
    with Store.open(db) as store, shown_progress(name) as observe:
        progress = find_edges(store, db, search, runner, observe=observe)
    trials = load_trials(db, name)
    found = edges(trials, axis).drop(columns="options")
    if len(found):
        print_summary(found, "edges", f"{name}: where along {axis} the verdict changes.")
    else:
        _say_all_the_same(search, trials)
    say(
        f"{name}: ran {progress.finished:,} trials in {progress.seconds:.1f} s, "
        f"{progress.planned:,} in all, recorded in {parse_url(db).shown}."
    )
    if out is not None:
        points = trials.assign(value=trials[axis], drift=trials["total_drift"])
        log = search.along.log
        write_found(out, "edges", found, lambda: edge_figure(points, found, axis, log=log))
    tell_of_failed(int((trials["verdict"] == Verdict.FAILED).sum()), name, db)


def _say_all_the_same(search: EdgeSearch, trials: pd.DataFrame) -> None:
    verdicts = sorted(trials["verdict"].astype(str).unique())
    along = f"from {search.along.low:g} to {search.along.high:g}"
    if len(verdicts) == 1:
        said = f"the verdict is {verdicts[0]} at all of the values tried {along}"
    else:
        said = f"each setting keeps its verdict {along} ({', '.join(verdicts)})"
    say(f"{search.spec.name}: no edge along {search.axis}: {said}.")
