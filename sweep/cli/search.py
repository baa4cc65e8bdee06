"""`leaksweep search` and `edge`: the worst settings beyond a grid, and where verdicts change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from sweep.cli import options
from sweep.cli.help import argument, option
from sweep.searching.objective import Objective
from sweep.values.words import Sampler

DEFAULT_PRESET = "full"
DEFAULT_TRIALS = 100
TRIAL_TIMEOUT_S = 600.0

Preset = Annotated[str | None, options.preset_option(DEFAULT_PRESET)]


def search(
    spec: options.SpecFile = None,
    preset: Preset = None,
    objective: Annotated[
        list[Objective] | None,
        option(
            "NAME",
            f"What is looked for, one of {', '.join(Objective)}: the largest drift, the "
            "smallest loss, what a leak takes from the score. Several for a Pareto front.",
            show_default="drift_ratio",
        ),
    ] = None,
    sampler: Annotated[
        Sampler | None,
        option(
            "|".join(Sampler),
            "How settings are chosen.",
            show_default="tpe; nsgaii for several objectives",
        ),
    ] = None,
    trials: Annotated[int, option("N", "How many more settings to try.", min=1)] = DEFAULT_TRIALS,
    range_: Annotated[
        list[str] | None,
        option(
            "NAME=LO:HI[:log]",
            "Explore numbers: lr, weight_decay, momentum, period (the N of every:N), beta2, "
            "eps or another of the constructors'. These six may come without LO:HI.",
            "--range",
            show_default="lr, weight_decay, momentum",
        ),
    ] = None,
    set_: options.Replaced = None,
    seed: Annotated[int, option("S", "Of the choice of settings.", min=0)] = 0,
    workload: options.WorkloadName = None,
    steps: options.Steps = None,
    name: Annotated[str | None, options.name_option("such as full-tpe-drift_ratio")] = None,
    db: options.Db = options.DEFAULT_DB,
    jobs: options.Jobs = None,
    trial_timeout: Annotated[
        float, option("SECONDS", "Stop a trial that takes longer.")
    ] = TRIAL_TIMEOUT_S,
    out: Annotated[Path | None, option("DIR", "Write the Pareto front: CSV, PNG, SVG.")] = None,
) -> None:
    """Search for the worst settings between and beyond the values of a grid, with Optuna.

    The trials are a sweep of their own; the same command again runs as many more, and has
    learnt from all of them. Ends with the worst settings found, beside the grid's worst.

    Example: leaksweep search --preset remedies --trials 200
    """
    from sweep.grid.spec_file import chosen_spec, with_overrides
    from sweep.running.limits import Limits
    from sweep.running.runner import Runner
    from sweep.searching.ranges import parse_ranges

    axes = set_ or ()
    chosen = chosen_spec(spec, preset, DEFAULT_PRESET)
    grid = with_overrides(chosen, set=axes, workload=workload, steps=steps)
    runner = Runner(jobs, limits=Limits(trial_timeout), stacked=False)
    runner.check()
    objectives = tuple(dict.fromkeys(objective or [Objective.DRIFT_RATIO]))
    method = sampler or (Sampler.NSGAII if len(objectives) > 1 else Sampler.TPE)
    ranges = parse_ranges(range_ or (), pinned=_names(axes))
    named = with_overrides(grid, name=name or "-".join((grid.name, method, *objectives)))
    from sweep.cli.searched import look_for  # Optuna comes with it: workers start meanwhile
    from sweep.searching.search import Search

    look_for(Search(named, ranges, objectives, method, seed), grid, db, runner, trials, out)


def _names(axes: Iterable[str]) -> list[str]:
    """The axes whose values were set."""
    return [text.partition("=")[0].strip() for text in axes]


def edge(
    axis: Annotated[str, argument("AXIS", "lr, weight_decay or momentum.")],
    spec: options.SpecFile = None,
    preset: Preset = None,
    range_: Annotated[
        str | None,
        option(
            "LO:HI[:log]", "From where to where along AXIS.", "--range", show_default="as search"
        ),
    ] = None,
    points: Annotated[int, option("N", "Even values to begin with, for each setting.", min=2)] = 13,
    tolerance: Annotated[
        float, option("PART", "How near the two sides come, as a part of the value.")
    ] = 1e-6,
    set_: options.Replaced = None,
    workload: options.WorkloadName = None,
    steps: options.Steps = None,
    name: Annotated[str | None, options.name_option("such as full-edge-lr")] = None,
    db: options.Db = options.DEFAULT_DB,
    jobs: options.Jobs = None,
    trial_timeout: options.TrialTimeout = None,
    trial_memory: options.TrialMemory = None,
    out: Annotated[Path | None, option("DIR", "Write the edges: CSV, PNG, SVG.")] = None,
) -> None:
    """Find where along AXIS the verdict changes, for each setting of a grid and each seed.

    The axis is sampled evenly, then halved wherever the verdict changes. The trials are a
    sweep of their own; the same command again runs what it still lacks.

    Example: leaksweep edge weight_decay --preset article --workload small --range 1e-9:0.1:log
    """
    from sweep.cli.searched import look_for_edges
    from sweep.grid.spec_file import chosen_spec, with_overrides
    from sweep.running.limits import Limits
    from sweep.running.runner import Runner
    from sweep.searching.edge import EdgeSearch, check_axis
    from sweep.searching.ranges import parse_ranges

    check_axis(axis)
    range_ = axis if range_ is None else f"{axis}={range_}"
    (along,) = parse_ranges([range_], pinned=_names(set_ or ())).values()
    chosen = chosen_spec(spec, preset, DEFAULT_PRESET)
    grid = with_overrides(chosen, set=set_ or (), workload=workload, steps=steps)
    named = with_overrides(grid, name=name or f"{grid.name}-edge-{axis}")
    runner = Runner(jobs, limits=Limits(trial_timeout, trial_memory))
    look_for_edges(EdgeSearch(named, axis, along, points, tolerance), db, runner, out)
