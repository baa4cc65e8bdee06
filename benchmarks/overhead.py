"""What a sweep costs beyond training: the whole path, with a trial that does nothing.

    python benchmarks/overhead.py [--trials 1000,10000] [--peer-trials 1000]

Grid, workers, writer and SQLite are the real ones; only the training is left out. The
workers are started before the clock is. Optuna's GridSampler runs an empty objective in the
same process, in memory and on SQLite, for scale. Prints one table, in milliseconds a trial.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import optuna

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.outcome import Environment, Measurement, Outcome
from sweep.runner import Runner
from sweep.setting import PlannedTrial
from sweep.spec import from_toml
from sweep.store.store import Store
from sweep.words import Verdict

JOBS = 2
NOWHERE = Environment("none", "3", "benchmark", "cpu", 1, "0")
NOTHING = Measurement(50, 0, None, 0.0, 0.0, 1.0, 0.0, 1.0, 0.5, diverged=False)


def empty_trial(planned: PlannedTrial) -> Outcome:
    """An outcome like a real one, without the training."""
    now = datetime.now(UTC)
    return Outcome(planned, NOWHERE, "none 0", Verdict.HOLDS, NOTHING, None, False, 0.0, None, now)


def grid_of(trials: int) -> Grid:
    """A grid of ``trials`` settings that differ in the seed and the learning rate."""
    seeds = ", ".join(map(str, range(trials // 10)))
    rates = ", ".join(f"{(1 + rate) / 100}" for rate in range(10))
    text = f'[[grid]]\noptimizer = ["SGD"]\nlr = [{rates}]\nzero_grad = ["zero"]\nseed = [{seeds}]'
    return Grid(from_toml(text, source="the benchmark", name=f"empty-{trials}"))


def leaksweep(trials: int, folder: Path) -> float:
    """Seconds a trial of a sweep of empty trials."""
    with Store.open(f"sqlite:///{folder / f'{trials}.db'}") as store:
        runner = Runner(JOBS, run_trial=empty_trial)
        run_sweep(store, grid_of(20), runner)  # starts the workers
        grid = grid_of(trials)
        started = time.perf_counter()
        progress = run_sweep(store, grid, runner)
        seconds = time.perf_counter() - started
    assert progress.finished == trials
    return seconds / trials


def resumed(trials: int, folder: Path) -> float:
    """Seconds a trial to find that there is nothing left to do."""
    with Store.open(f"sqlite:///{folder / f'{trials}.db'}") as store:
        started = time.perf_counter()
        progress = run_sweep(store, grid_of(trials), Runner(JOBS, run_trial=empty_trial))
        seconds = time.perf_counter() - started
    assert progress.finished == 0
    return seconds / trials


def optuna_grid(trials: int, storage: str | None) -> float:
    """Seconds a trial of Optuna's GridSampler with an empty objective."""
    space = {"seed": list(range(trials // 10)), "lr": [(1 + rate) / 100 for rate in range(10)]}
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(space), storage=storage)

    def objective(trial: optuna.Trial) -> float:
        for name, values in space.items():
            trial.suggest_categorical(name, values)
        return 0.0

    started = time.perf_counter()
    study.optimize(objective, n_trials=trials)
    return (time.perf_counter() - started) / trials


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", default="1000,10000")
    parser.add_argument("--peer-trials", type=int, default=1000)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for trials in map(int, arguments.trials.split(",")):
            rows.append(("leaksweep, SQLite, 2 workers", trials, leaksweep(trials, place), peak()))
            rows.append(("leaksweep, nothing left to do", trials, resumed(trials, place), peak()))
        n = arguments.peer_trials
        rows.append(("Optuna GridSampler, memory", n, optuna_grid(n, None), peak()))
        sqlite = f"sqlite:///{place / 'optuna.db'}"
        rows.append(("Optuna GridSampler, SQLite", n, optuna_grid(n, sqlite), peak()))
    print(f"{'what':<32}{'trials':>8}{'ms a trial':>12}{'peak MiB':>10}")
    for what, trials, seconds, mib in rows:
        print(f"{what:<32}{trials:>8,}{1000 * seconds:>12.2f}{mib:>10.0f}")


def peak() -> float:
    """The driver's largest resident memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
