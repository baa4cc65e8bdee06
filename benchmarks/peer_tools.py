"""The tools that `benchmarks/peers.py` runs: what each is given, and how it is told to run it."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sweep.grid import Grid
from sweep.grid.spec_file import from_toml, load_preset
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Axis

JOBS = 2
OWN_JOBLIB = "own loop, joblib"
FIRST = "plain loop, one process"
OWN_OPTUNA = "own loop, Optuna grid, SQLite"
SEED = 15
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
    FIRST: plain_loop,
    OWN_JOBLIB: own_joblib,
    OWN_OPTUNA: own_optuna,
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


def _drift(outcome: Outcome) -> float:
    measurement = outcome.measurement
    return 0.0 if measurement is None else measurement.total_drift or 0.0
