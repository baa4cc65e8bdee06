"""`leaksweep run`: the sweep itself; and how a sweep is run for whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli import options
from sweep.cli.help import argument, flag, option
from sweep.cli.screen import print_table, say
from sweep.cli.table import print_summary
from sweep.errors import EXIT_NOT_THERE, MisuseError
from sweep.store import query
from sweep.store.url import parse_url
from sweep.values.words import Backend, Device

if TYPE_CHECKING:
    from sweep.driver import Progress
    from sweep.grid import Grid
    from sweep.running.runner import Runner

DEFAULT_PRESET = "article"
MOST_ROWS = 40
"""Of the table at the end; more scroll out of sight."""


def run(
    spec: Annotated[
        Path | None, argument("SPEC.toml", "A grid of your own; see `show presets`.")
    ] = None,
    preset: Annotated[str | None, options.preset_option(DEFAULT_PRESET)] = None,
    set_: options.Replaced = None,
    workload: options.WorkloadName = None,
    steps: options.Steps = None,
    name: Annotated[str | None, options.name_option()] = None,
    db: options.Db = options.DEFAULT_DB,
    jobs: options.Jobs = None,
    backend: options.BackendOption = Backend.PROCESSES,
    scheduler: Annotated[
        str | None,
        option(
            "ADDRESS",
            "The Dask scheduler, such as tcp://10.0.0.1:8786.",
            show_default="a cluster on this machine",
        ),
    ] = None,
    device: Annotated[Device, option("|".join(Device), "Where tensors live.")] = Device.CPU,
    trial_timeout: options.TrialTimeout = None,
    trial_memory: options.TrialMemory = None,
    trace: Annotated[bool, flag("--trace", "Record a row for every step as well.")] = False,
    dry_run: Annotated[bool, flag("--dry-run", "Count the settings, run nothing.")] = False,
    retry_failed: Annotated[bool, flag("--retry-failed", "Run failed trials again.")] = False,
) -> None:
    """Run what a sweep still lacks; the same command again resumes it.

    Without a spec or a preset it runs the preset article. Ends with the summary table.

    Example: leaksweep run --preset article --set lr=1,0.1 --name mine
    """
    if backend is Backend.PROCESSES and not dry_run:
        from sweep.running.fork_server import running

        running()
    from sweep.grid import Grid
    from sweep.grid.spec_file import chosen_spec, with_overrides
    from sweep.running.limits import Limits
    from sweep.running.runner import Runner

    chosen = with_overrides(
        chosen_spec(spec, preset, DEFAULT_PRESET),
        set=set_ or (),
        workload=workload,
        steps=steps,
        name=name,
        trace=trace or None,
    )
    _check_device(device)
    if scheduler is not None and jobs is not None:
        raise MisuseError(
            "--jobs says how many trials run at once on this machine; with --scheduler the "
            "cluster's own workers say it. Leave one of them out."
        )
    runner = Runner(
        jobs,
        backend,
        trace=chosen.trace,
        device=device.value,
        limits=Limits(trial_timeout, trial_memory),
        scheduler=scheduler,
        tell=say,
    )
    grid = Grid(chosen)
    if dry_run:
        _print_counts(grid)
        return
    with grid_run(grid, db, runner, retry_failed=retry_failed) as progress:
        failed = _print_end(grid.spec.name, db, progress)
    if failed:
        raise typer.Exit(EXIT_NOT_THERE)


def _check_device(device: Device) -> None:
    if device is Device.CUDA:
        import torch

        if not torch.cuda.is_available():
            raise MisuseError("--device cuda: torch finds no CUDA device here; leave it out.")


@contextmanager
def grid_run(
    grid: Grid,
    db: str,
    runner: Runner,
    *,
    retry_failed: bool = False,
    shown: bool = True,
    again: str = "the same command",
) -> Iterator[Progress]:
    """Runs what the sweep of ``grid`` lacks, shows how far it is, and yields where it stands.

    The store is open meanwhile, so that it closes the database last and tidies up its log.
    ``shown`` and ``again`` are as `sweep.cli.progress.shown_progress` has them. Raises
    WorkloadError for a user's workload that cannot be built, and MisuseError where trials cannot
    be run, before anything is written; then as `sweep.driver.run_sweep` does.
    """
    from sweep.cli.progress import shown_progress
    from sweep.driver import run_sweep
    from sweep.store.store import Store
    from sweep.workloads.sizes import BUILT_IN

    if grid.spec.workload not in BUILT_IN:
        from sweep.workloads.built_in import check_workload

        check_workload(grid.spec.workload, next(iter(grid)).setting.seed)
    runner.check()
    name = grid.spec.name
    with Store.open(db) as store:
        with shown_progress(name, shown=shown, again=again) as observe:
            progress = run_sweep(store, grid, runner, retry_failed=retry_failed, observe=observe)
        yield progress


def _print_end(name: str, db: str, progress: Progress) -> int:
    """Prints the sweep's table, what this run did and what is next; how many trials failed."""
    from analysis.tables import SUMMARIES, summary_table

    rows = summary_table("results", db, name)
    print_summary(rows, "results", SUMMARIES["results"].caption, most=MOST_ROWS)
    if len(rows) > MOST_ROWS:
        say(f"{len(rows) - MOST_ROWS:,} more rows: leaksweep table results {name}")
    failed, first = int(rows["failed"].sum()), query.first_leak(db, name)
    say(_closing_line(name, parse_url(db).shown, progress))
    if failed:
        failures = options.command(db, "table", "failures", name)
        say(
            f"{failed:,} of them failed. `{failures}` says why; --retry-failed runs what failed "
            f"again."
        )
    page = f"`{options.command(db, 'report', name)}` makes a page of all this."
    if first is not None:
        page = f"`{options.command(db, 'why', first)}` says what moved the layer there; {page}"
    say(f"Next: {page}")
    return failed


def _closing_line(name: str, where: str, progress: Progress) -> str:
    taken = f"took {progress.taken:,} over from other sweeps, " if progress.taken else ""
    if not progress.finished and not taken:
        return (
            f"{name}: all {progress.planned:,} trials were recorded already in {where}; ran none."
        )
    rate = f" ({progress.finished / progress.seconds:.3g} a second)" if progress.finished else ""
    return (
        f"{name}: {taken}ran {progress.finished:,} of {progress.planned:,} trials "
        f"in {progress.seconds:.1f} s{rate}, recorded in {where}."
    )


def _print_counts(grid: Grid) -> None:
    rows = [
        (str(axis), "(does not apply)" if value is None else str(value), f"{trials:,}")
        for axis, values in grid.counts().items()
        for value, trials in values.items()
    ]
    title = f"{grid.spec.name}: {grid.size:,} trials of workload {grid.spec.workload}"
    print_table(("axis", "value", "trials"), rows, title=title, numeric=frozenset({2}))
    plan = grid.plan
    omitted = [(o.optimizer, f"{o.settings:,}", o.reason) for o in plan.omissions]
    if omitted:
        columns = ("optimizer", "settings", "reason")
        print_table(columns, omitted, title="Left out", numeric=frozenset({1}))
    say(
        f"{plan.stated:,} combinations are written; {plan.collapsed:,} mean the same trial "
        f"as another because an axis does not apply, {grid.repeated:,} are in two grids, "
        f"{sum(o.settings for o in plan.omissions):,} cannot exist. Nothing was run."
    )
