"""What a sweep costs beyond training: the whole path, with a trial that does nothing.

    python benchmarks/overhead.py [--trials 1000,10000,100000] [--peer-trials 200] [--write]

Grid, workers, writer and SQLite are the real ones; only the training is left out. The
workers are started before the clock is. Optuna's GridSampler runs an empty objective in the
same process, in memory and on SQLite, for scale: of few trials, as each costs it more than
the one before. Each row is measured in a process of its
own, whose peak is the memory: the driver's, without the workers'. Prints one table;
``--write`` puts it into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from write_page import markdown, write_table

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.running.runner import Runner
from sweep.store.store import Store
from sweep.values.outcome import Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Verdict

JOBS = 2
COLUMNS = ("what", "trials", "ms a trial", "peak MiB")
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
    """Seconds that a sweep of empty trials takes."""
    with Store.open(f"sqlite:///{folder / f'{trials}.db'}") as store:
        runner = Runner(JOBS, run_trial=empty_trial)
        run_sweep(store, grid_of(20), runner)  # starts the process that workers are forked from
        grid = grid_of(trials)
        started = time.perf_counter()
        progress = run_sweep(store, grid, runner)
        seconds = time.perf_counter() - started
    assert progress.finished == trials
    return seconds


def resumed(trials: int, folder: Path) -> float:
    """Seconds to find that there is nothing left to do of the sweep that `leaksweep` ran."""
    with Store.open(f"sqlite:///{folder / f'{trials}.db'}") as store:
        started = time.perf_counter()
        progress = run_sweep(store, grid_of(trials), Runner(JOBS, run_trial=empty_trial))
        seconds = time.perf_counter() - started
    assert progress.finished == 0
    return seconds


def optuna_in_memory(trials: int, _: Path) -> float:
    """Seconds that Optuna's GridSampler takes over an empty objective."""
    return _optuna_grid(trials, None)


def optuna_on_sqlite(trials: int, folder: Path) -> float:
    """The same with every trial recorded in SQLite."""
    return _optuna_grid(trials, f"sqlite:///{folder / 'optuna.db'}")


def _optuna_grid(trials: int, storage: str | None) -> float:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seeds: list[float] = list(range(trials // 10))
    space = {"seed": seeds, "lr": [(1 + rate) / 100 for rate in range(10)]}
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(space), storage=storage)

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("seed", space["seed"])
        trial.suggest_categorical("lr", space["lr"])
        return 0.0

    started = time.perf_counter()
    study.optimize(objective, n_trials=trials)
    return time.perf_counter() - started


OURS = {"leaksweep, SQLite, 2 workers": leaksweep, "leaksweep, nothing left to do": resumed}
PEERS = {
    "Optuna GridSampler, memory": optuna_in_memory,
    "Optuna GridSampler, SQLite": optuna_on_sqlite,
}
WAYS: dict[str, Callable[[int, Path], float]] = {**OURS, **PEERS}


def measured_here(what: str, trials: int, folder: Path) -> None:
    """Prints what one row costs in this process: seconds and MiB, as JSON."""
    warnings.simplefilter("ignore")
    seconds = WAYS[what](trials, folder)
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def rows(sizes: list[int], peer_trials: int) -> Iterator[tuple[str, ...]]:
    """Each row of the table, measured in a process of its own."""
    asked = [(what, trials) for trials in sizes for what in OURS]
    asked += [(what, peer_trials) for what in PEERS if peer_trials]
    with tempfile.TemporaryDirectory() as folder:
        for what, trials in asked:
            command = [sys.executable, __file__, "--measure", what, str(trials), folder]
            said = subprocess.check_output(command, text=True).splitlines()
            seconds, mib = json.loads(said[-1])
            yield what, f"{trials:,}", f"{1000 * seconds / trials:.3f}", f"{mib:.0f}"


def main() -> None:
    """Measures, prints the table, and writes it where asked."""
    if sys.argv[1:2] == ["--measure"]:
        what, trials, folder = sys.argv[2:]
        measured_here(what, int(trials), Path(folder))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", default="1000,10000,100000")
    parser.add_argument("--peer-trials", type=int, default=200, help="0 leaves the peers out")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.trials.split(",")]
    made = []
    print(f"{COLUMNS[0]:<32}{COLUMNS[1]:>8}{COLUMNS[2]:>12}{COLUMNS[3]:>10}")
    for row in rows(sizes, arguments.peer_trials):
        made.append(row)
        print(f"{row[0]:<32}{row[1]:>8}{row[2]:>12}{row[3]:>10}", flush=True)
    if arguments.write:
        write_table("overhead", markdown(COLUMNS, made))


if __name__ == "__main__":
    main()
