"""The same trials run by leaksweep and by other tools, one after another on this machine.

    python benchmarks/peers.py [--article 200] [--small 5000] [--full 300]
        [--budget 180] [--write]

Every tool runs `sweep.trial.trial.run_trial` (training, causes and all) on two processes of one
thread each, in a process of its own, and keeps the results in its own store. The clock starts
when its modules are imported and stops when the last result is kept, so that starting workers
counts. A tool that has not finished within the budget is stopped, and its rate is that of the
trials which it finished. Rows of an "own loop" run `own_loop.moved`, what a user
would write: it says whether the layer moved, without causes or measures. The table `full` is of
settings of that preset, drawn by a seed. Beside them: a plain loop in one process, and the
machine's own speed at products of 1024 x 1024 matrices, measured just before, on one core and
on both at once.

``--write`` puts the table into benchmarks/README.md and draws docs/figures/peers.svg.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import altair
import vl_convert
from peak import gigaflop_a_trial, peak_gigaflop_per_second
from write_page import markdown, write_table

from sweep.grid import Grid
from sweep.grid.spec_file import from_toml, load_preset
from sweep.values.setting import PlannedTrial
from sweep.values.words import Axis
from sweep.workloads.sizes import BUILT_IN

JOBS = 2
FIGURE = Path(__file__).parent.parent / "docs" / "figures" / "peers.svg"
COLUMNS = ("tool", "trials", "seconds", "a second", "x the first", "of both peaks")
OWN_JOBLIB = "own loop, joblib"
Row = tuple[str, ...]
FULL = (OWN_JOBLIB, "leaksweep", "own loop, Optuna grid, SQLite")
SEED = 15
PEAK_SECONDS = 3.0
GIGAFLOP_A_TRIAL = gigaflop_a_trial(BUILT_IN["article"], frozen_steps=50, attached_steps=50)
SPECS = {
    "article": """
        optimizer = ["SGD", "Adam", "AdamW", "NAdam", "RAdam"]
        lr = [0.1, 0.01, 0.001, 0.0001]
        weight_decay = [0.0, 0.1]
        momentum = [0.9]
        zero_grad = ["zero"]
        seed = [0, 1, 2, 3, 4]
        """,
    "small": """
        optimizer = ["SGD", "Adam", "AdamW", "NAdam", "RAdam"]
        lr = [0.3, 0.1, 0.03, 0.01, 0.001]
        weight_decay = [0.0, 0.1]
        momentum = [0.0, 0.5, 0.8, 0.9, 0.95]
        zero_grad = ["none", "zero"]
        seed = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        """,
}


@dataclass(frozen=True)
class Work:
    """What each tool is to run: the first ``size`` settings of a grid.

    Peers are given the settings by number, the one axis that their own grids then have: grids
    of several axes cost them more.
    """

    workload: str
    size: int
    folder: Path
    seconds: float

    @property
    def grid(self) -> Grid:
        """The whole grid; of the preset `full`, as many settings as asked for, by a seed."""
        if self.workload == "full":
            return _drawn(self.size)
        text = f'workload = "{self.workload}"\n[[grid]]\n{SPECS[self.workload]}'
        return Grid(from_toml(text, source="the benchmark", name="peers"))

    def trials(self) -> list[PlannedTrial]:
        """The settings to run."""
        return list(self.grid)[: self.size]


def _drawn(size: int) -> Grid:
    """A grid of ``size`` settings of the preset `full`, one of them a grid of its own."""
    whole = list(Grid(load_preset("full")))
    grids = []
    for planned in random.Random(SEED).sample(whole, size):
        stated = {axis: getattr(planned.setting, axis) for axis in Axis}
        lines = [f"{axis} = [{json.dumps(v)}]" for axis, v in stated.items() if v is not None]
        grids.append("[[grid]]\n" + "\n".join(lines))
    text = 'workload = "article"\n' + "\n".join(grids)
    return Grid(from_toml(text, source="the benchmark", name="peers"))


@dataclass
class Clock:
    """Counts finished trials and says when the time is up."""

    until: float
    finished: int = 0
    lapsed: bool = False

    def tick(self) -> None:
        """Counts one."""
        self.finished += 1

    @property
    def is_up(self) -> bool:
        """Whether the budget is spent."""
        self.lapsed = time.monotonic() >= self.until
        return self.lapsed


def plain_loop(work: Work, clock: Clock) -> None:
    """One process, one trial after another, results in a list."""
    from sweep.trial.trial import run_trial

    kept = []
    for planned in work.trials():
        kept.append(run_trial(planned))
        clock.tick()
        if clock.is_up:
            break


def leaksweep(work: Work, clock: Clock) -> None:
    """The sweep driver, as `leaksweep run` calls it."""
    from sweep.driver import Progress, run_sweep
    from sweep.running.runner import Runner
    from sweep.store.store import Store

    def observe(progress: Progress) -> None:
        clock.finished = progress.finished
        if clock.is_up:
            raise TimeoutError

    grid = work.grid
    if work.size < grid.size:
        raise SystemExit(f"leaksweep runs whole grids: {work.workload} has {grid.size}.")
    with Store.open(f"sqlite:///{work.folder / 'leaksweep.db'}") as store:
        run_sweep(store, grid, Runner(JOBS), observe=observe)


def joblib_alone(work: Work, clock: Clock) -> None:
    """joblib's worker processes, results in a list."""
    from sweep.trial.trial import run_trial

    _joblib(work, clock, run_trial)


def own_joblib(work: Work, clock: Clock) -> None:
    """The same of a user's own loop."""
    from own_loop import moved

    _joblib(work, clock, moved)


def _joblib(work: Work, clock: Clock, run: Callable[[PlannedTrial], object]) -> None:
    from joblib import Parallel, delayed, parallel_config

    kept = []
    with parallel_config("loky", inner_max_num_threads=1):
        outcomes = Parallel(JOBS, return_as="generator_unordered")(
            delayed(run)(planned) for planned in work.trials()
        )
    for outcome in outcomes:
        kept.append(outcome)
        clock.tick()
        if clock.is_up:
            break


def optuna_grid(work: Work, clock: Clock) -> None:
    """Optuna's GridSampler, two processes on one SQLite storage."""
    _optuna(work, clock, "grid", "sqlite")


def optuna_brute_force(work: Work, clock: Clock) -> None:
    """Optuna's BruteForceSampler, two processes on one SQLite storage."""
    _optuna(work, clock, "brute", "sqlite")


def optuna_journal(work: Work, clock: Clock) -> None:
    """Optuna's GridSampler, two processes on one journal file."""
    _optuna(work, clock, "grid", "journal")


def own_optuna(work: Work, clock: Clock) -> None:
    """Optuna's GridSampler on SQLite with a user's own loop."""
    _optuna(work, clock, "grid", "sqlite", own=True)


def ray_tune(work: Work, clock: Clock) -> None:
    """Ray Tune's grid_search on two CPUs; actors are kept, or each trial would import torch."""
    os.environ.update(RAY_AIR_NEW_OUTPUT="0", RAY_DEDUP_LOGS="0", RAY_USAGE_STATS_ENABLED="0")
    import ray
    from ray import tune

    trials = work.trials()
    ray.init(num_cpus=JOBS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    reference = ray.put(trials)
    counted = work.folder / "ray-finished"
    counted.mkdir()

    def train(config: dict[str, int]) -> dict[str, float]:
        from sweep.trial.trial import run_trial

        outcome = run_trial(ray.get(reference)[config["number"]])
        (counted / str(config["number"])).touch()
        return {"drift": _drift(outcome)}

    def count() -> None:
        while counted.exists():
            clock.finished = len(os.listdir(counted))
            time.sleep(0.5)

    threading.Thread(target=count, daemon=True).start()
    tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={"number": tune.grid_search(list(range(len(trials))))},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=JOBS, time_budget_s=work.seconds, reuse_actors=True
        ),
        run_config=tune.RunConfig(storage_path=str(work.folder / "ray"), verbose=0),
    ).fit()
    clock.finished = len(os.listdir(counted))
    clock.lapsed = clock.finished < len(trials)
    ray.shutdown()


PEERS: dict[str, Callable[[Work, Clock], None]] = {
    "leaksweep": leaksweep,
    "plain loop, one process": plain_loop,
    OWN_JOBLIB: own_joblib,
    "own loop, Optuna grid, SQLite": own_optuna,
    "joblib alone": joblib_alone,
    "Optuna grid, SQLite": optuna_grid,
    "Optuna brute force, SQLite": optuna_brute_force,
    "Optuna grid, journal": optuna_journal,
    "Ray Tune grid": ray_tune,
}


def _optuna(work: Work, clock: Clock, sampler: str, storage: str, *, own: bool = False) -> None:
    import optuna

    optuna.create_study(study_name="peers", storage=_storage(work.folder, storage))
    until = time.time() + work.seconds
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_optuna_worker, args=(work, sampler, storage, until, own))
        for _ in range(JOBS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    study = optuna.load_study(study_name="peers", storage=_storage(work.folder, storage))
    clock.finished = len(
        study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    )
    clock.lapsed = clock.finished < work.size


def _optuna_worker(work: Work, sampler: str, storage: str, until: float, own: bool) -> None:
    import optuna
    from own_loop import moved

    from sweep.trial.trial import run_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    trials = work.trials()
    numbers = list(range(len(trials)))
    samplers = {
        "grid": lambda: optuna.samplers.GridSampler({"number": numbers}),
        "brute": lambda: optuna.samplers.BruteForceSampler(),
    }
    study = optuna.load_study(
        study_name="peers", storage=_storage(work.folder, storage), sampler=samplers[sampler]()
    )

    def objective(trial: optuna.Trial) -> float:
        number = trial.suggest_int("number", 0, len(trials) - 1)
        if own:
            return float(moved(trials[number]))
        outcome = run_trial(trials[number])
        trial.set_user_attr("verdict", outcome.verdict.value)
        return _drift(outcome)

    def stop_in_time(study: optuna.Study, _: optuna.trial.FrozenTrial) -> None:
        if time.time() >= until:
            study.stop()

    study.optimize(objective, callbacks=[stop_in_time])


def _storage(folder: Path, kind: str) -> object:
    if kind == "sqlite":
        return f"sqlite:///{folder / 'optuna.db'}"
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(folder / "optuna.log")))


def _drift(outcome: object) -> float:
    measurement = outcome.measurement  # type: ignore[attr-defined]
    return 0.0 if measurement is None else measurement.total_drift or 0.0


def run_peer(name: str, workload: str, size: int, seconds: float) -> None:
    """Runs one tool in this process and prints what it did as one line of JSON."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = Work(workload, size, Path(folder), seconds)
        started = time.monotonic()
        clock = Clock(started + seconds)
        try:
            PEERS[name](work, clock)
        except TimeoutError:
            clock.lapsed = True
        took = time.monotonic() - started
    print(json.dumps({"finished": clock.finished, "seconds": took, "whole": not clock.lapsed}))


def measured(workload: str, size: int, budget: float) -> Iterator[Row]:
    """A row for each tool, each in a process of its own."""
    loop = 0.0
    both = peak_gigaflop_per_second(JOBS, PEAK_SECONDS)
    names = FULL if workload == "full" else sorted(PEERS, key="plain loop, one process".__ne__)
    for name in names:
        command = [sys.executable, __file__, "--one", name, workload, str(size), str(budget)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            yield name, f"failed: {ended.stderr.strip().splitlines()[-1]}", "", "", "", ""
            continue
        said = json.loads(ended.stdout.strip().splitlines()[-1])
        rate = said["finished"] / said["seconds"]
        loop = loop or rate
        done = f"{said['finished']:,}" + ("" if said["whole"] else f" of {size:,}")
        peak = rate * GIGAFLOP_A_TRIAL / both
        yield (
            name, done, f"{said['seconds']:.1f}", f"{rate:.3g}", f"{rate / loop:.2f}",
            f"{peak:.2f}" if workload == "article" else "",
        )  # fmt: skip


def main() -> None:
    """Measures, prints the table, and writes it where asked."""
    if sys.argv[1:2] == ["--one"]:
        name, workload, size, seconds = sys.argv[2:]
        run_peer(name, workload, int(size), float(seconds))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--article", type=int, default=200)
    parser.add_argument("--small", type=int, default=5000)
    parser.add_argument("--full", type=int, default=300, help="settings of the preset `full`")
    parser.add_argument("--budget", type=float, default=180.0, help="seconds for each tool")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    arguments = parser.parse_args()
    one, both = (peak_gigaflop_per_second(n, PEAK_SECONDS) for n in (1, JOBS))
    print(f"Peak of products: {one:.0f} GFLOP/s on one core, {both:.0f} on both")
    tables = {}
    sizes = {name: getattr(arguments, name) for name in ("article", "small", "full")}
    for workload, size in sizes.items():
        tables[workload] = []
        for row in measured(workload, size, arguments.budget) if size else ():
            tables[workload].append(row)
            print("  ".join(f"{cell:<26}" for cell in row), flush=True)
    if arguments.write:
        for workload, rows in tables.items():
            if rows:
                write_table(f"peers-{workload}", markdown(COLUMNS, rows))
        if all(tables.values()):
            draw(tables)


def draw(tables: Mapping[str, Sequence[Row]]) -> None:
    """Writes the rates as a figure, a panel a workload, on a scale of the plain loop's."""
    rows = [
        {"workload": workload, "tool": row[0], "times the loop": float(row[4])}
        for workload, each in tables.items()
        for row in each
        if row[4]
    ]
    bars = altair.Chart(altair.Data(values=rows), width=220).encode(
        altair.Y("tool:N", sort=None, title=None),
        altair.X("times the loop:Q", title="trials a second, times the plain loop's"),
    )
    marks = bars.mark_bar() + bars.mark_text(align="left", dx=3).encode(text="times the loop:Q")
    panels = marks.facet(altair.Column("workload:N", title=None)).resolve_scale(x="independent")
    FIGURE.write_text(vl_convert.vegalite_to_svg(panels.to_dict()))


if __name__ == "__main__":
    main()
