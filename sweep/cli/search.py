"""`leaksweep search`: the worst settings between and beyond the values of a grid."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
    WorkloadName,
    name_option,
    preset_option,
    tell_of_failed,
    trials_at_once,
)
from sweep.cli.screen import say
from sweep.searching.objective import Objective, check_scored
from sweep.values.words import Sampler, Verdict

if TYPE_CHECKING:
    from sweep.driver import Progress
    from sweep.grid.spec import Spec
    from sweep.running.runner import Runner
    from sweep.searching.search import Dialogue, Search
    from sweep.store.store import Store

DEFAULT_PRESET = "full"
DEFAULT_TRIALS = 100
TRIAL_TIMEOUT_S = 600.0

Preset = Annotated[str | None, preset_option(DEFAULT_PRESET)]


def search(
    spec: SpecFile = None,
    preset: Preset = None,
    objective: Annotated[
        list[Objective] | None,
        typer.Option(
            metavar="NAME",
            help=f"What is looked for, one of {', '.join(Objective)}: the largest drift, the "
            "smallest loss, what a leak takes from the score. Several for a Pareto front.",
            show_default="drift_ratio",
        ),
    ] = None,
    sampler: Annotated[
        Sampler | None,
        typer.Option(
            metavar="|".join(Sampler),
            help="How settings are chosen.",
            show_default="tpe; nsgaii for several objectives",
        ),
    ] = None,
    trials: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many more settings to try.")
    ] = DEFAULT_TRIALS,
    range_: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="NAME=LO:HI[:log]",
            help="Explore numbers: lr, weight_decay, momentum, period (the N of every:N), beta2, "
            "eps or another of the constructors'. These six may come without LO:HI.",
            show_default="lr, weight_decay, momentum",
        ),
    ] = None,
    set_: Replaced = None,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the choice of settings.")] = 0,
    workload: WorkloadName = None,
    steps: Steps = None,
    name: Annotated[str | None, name_option("such as full-tpe-drift_ratio")] = None,
    db: Db = DEFAULT_DB,
    jobs: Jobs = None,
    trial_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Stop a trial that takes longer.")
    ] = TRIAL_TIMEOUT_S,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the Pareto front: CSV, PNG, SVG."),
    ] = None,
) -> None:
    """Search for the worst settings between and beyond the values of a grid, with Optuna.

    The trials are a sweep of their own; the same command again runs as many more, and has
    learnt from all of them. Ends with the worst settings found, beside the grid's worst.

    Example: leaksweep search --preset remedies --trials 200
    """
    from sweep.grid.spec_file import with_overrides
    from sweep.running.limits import Limits
    from sweep.running.runner import Runner
    from sweep.searching.ranges import parse_ranges
    from sweep.searching.search import Search

    chosen = grid_to_begin_from(spec, preset, set_ or (), workload, steps)
    # One by one as they are asked for, none ahead of a free worker.
    runner = Runner(trials_at_once(jobs), limits=Limits(trial_timeout), stacked=False)
    runner.check()
    objectives = tuple(dict.fromkeys(objective or [Objective.DRIFT_RATIO]))
    method = sampler or (Sampler.NSGAII if len(objectives) > 1 else Sampler.TPE)
    ranges = parse_ranges(range_ or (), pinned=pinned(set_ or ()))
    named = with_overrides(chosen, name=name or "-".join((chosen.name, method, *objectives)))
    _run(Search(named, ranges, objectives, method, seed), chosen, db, runner, trials, out)


def grid_to_begin_from(
    path: Path | None,
    preset: str | None,
    axes: Sequence[str],
    workload: str | None,
    steps: int | None,
) -> Spec:
    """The spec at ``path``, or the preset, with ``axes`` and the rest as ``--set`` has them.

    Raises as `chosen_spec`.
    """
    from sweep.grid.spec_file import chosen_spec, with_overrides

    found = chosen_spec(path, preset, DEFAULT_PRESET)
    return with_overrides(found, set=axes, workload=workload, steps=steps)


def pinned(axes: Sequence[str]) -> list[str]:
    """The axes whose values were set."""
    return [text.partition("=")[0].strip() for text in axes]


def _run(
    search: Search, grid: Spec, db: str, runner: Runner, trials: int, out: Path | None
) -> None:
    """Searches, and prints what was found. Raises typer.Exit(1) where trials have failed."""
    from analysis.load import load_trials
    from sweep.cli.searched import print_found
    from sweep.searching.claims import claim_search
    from sweep.searching.samplers import check_sampler
    from sweep.searching.search import rebuilt
    from sweep.searching.study import quiet_optuna
    from sweep.store.store import Store
    from sweep.store.url import parse_url

    with quiet_optuna():
        space = search.space()
        check_sampler(search.sampler, search.objectives, space)
        check_scored(search.spec.workload, search.objectives)
        with Store.open(db) as store:
            claim_search(store, search.spec, search.how())
            started = time.monotonic()
            dialogue = rebuilt(db, search, space)
            if dialogue.shown:
                say(
                    f"{search.spec.name}: loaded {len(dialogue.shown):,} recorded trials "
                    f"in {time.monotonic() - started:.2f} s."
                )
            done = _searched(store, dialogue, runner, trials)
    found = load_trials(db, search.spec.name)
    print_found(grid, search, found, db, out)
    say(
        f"{search.spec.name}: ran {done.finished:,} trials in {done.seconds:.1f} s, "
        f"{len(found):,} in all, recorded in {parse_url(db).shown}."
    )
    if dialogue.exhausted:
        say("It ended early: nothing new was proposed. The ranges may have no more to give.")
    tell_of_failed(int((found["verdict"] == Verdict.FAILED).sum()), search.spec.name, db)


def _searched(store: Store, dialogue: Dialogue, runner: Runner, trials: int) -> Progress:
    """Runs the search; says what was kept if it is interrupted."""
    from sweep.cli.progress import shown_progress
    from sweep.searching.claims import claim_search
    from sweep.searching.search import run_search

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
