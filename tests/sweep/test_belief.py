"""A verdict depends on the trial alone: not on workers, order, engine, what ran before, kernels.

Whole databases are compared: every column but ids, times and the environment's row.
"""

import inspect
import random
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace

import pytest
import torch
from noisy import NOISES

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.grid.spec_file import from_toml
from sweep.running.runner import Runner
from sweep.store.store import Store
from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Backend, Verdict, ZeroGrad

GRID = """
workload = "small"
steps = 8

[[grid]]
optimizer = ["SGD", "Adam", "ASGD", "LBFGS"]
zero_grad = ["none", "zero"]
seed = [0, 1]

[[grid]]
optimizer = ["faulty:RaisesAtStep7"]
zero_grad = ["zero"]
"""
HERE = Runner(1, trace=True)
PLAIN = replace(HERE, stacked=False)
NOT_COMPARED = {"id", "sweep_id", "environment_id", "trial_id", "train_seconds", "finished_at"}
SOURCES = {
    "sweep": ("sweep", []),
    "trial": ("trial JOIN sweep ON sweep.id = trial.sweep_id", ["sweep.name"]),
    "step": ("step JOIN trial ON trial.id = step.trial_id", ["trial.fingerprint"]),
}


def contents(path):
    """What a database says of sweeps, trials and steps, in one order."""
    with closing(sqlite3.connect(path)) as connection:
        return {table: sorted(rows_of(connection, table), key=repr) for table in SOURCES}


def rows_of(connection, table):
    source, more = SOURCES[table]
    named = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    names = {name for (name,) in named} - NOT_COMPARED - {"created_at"}
    columns = [*(f"{table}.{name}" for name in sorted(names)), *more]
    return connection.execute(f"SELECT {', '.join(columns)} FROM {source}").fetchall()


@pytest.fixture(scope="module")
def grid():
    return Grid(from_toml(GRID, source="the test", name="belief"))


@pytest.fixture
def database(tmp_path, grid):
    """A function that runs the grid with a runner, and says what the database then holds."""

    def made(runner):
        with Store.open(f"sqlite:///{tmp_path}/sweep.db") as store:
            run_sweep(store, grid, runner)
        return contents(tmp_path / "sweep.db")

    return made


@pytest.fixture(scope="module")
def expected(grid, tmp_path_factory):
    """The same database, made the plain way: each trial in turn, in this process."""
    path = tmp_path_factory.mktemp("belief") / "sweep.db"
    with Store.open(f"sqlite:///{path}") as store:
        run_sweep(store, grid, PLAIN)
    found = contents(path)
    assert {table: len(rows) for table, rows in found.items()} == {
        "sweep": 1,
        "trial": 17,
        "step": 16 * 8,
    }
    return found


class InAnotherOrder:
    """A runner that runs its trials in another order."""

    device, backend, run_trial = "cpu", Backend.PROCESSES, None

    def __init__(self, reorder):
        self.reorder = reorder

    def run(self, trials):
        """The outcomes, in that order."""
        listed = list(trials)
        self.reorder(listed)
        yield from HERE.run(listed)


class StopsAfter:
    """A runner that is interrupted after some trials."""

    device, backend, run_trial = "cpu", Backend.PROCESSES, None

    def __init__(self, finished):
        self.finished = finished

    def run(self, trials):
        """As many outcomes, then KeyboardInterrupt."""
        for number, outcome in enumerate(HERE.run(trials)):
            if number == self.finished:
                raise KeyboardInterrupt
            yield outcome


class TestWholeDatabases:
    @pytest.mark.slow
    @pytest.mark.parametrize("jobs", [1, 2])
    def test_worker_processes_record_what_this_process_does(self, database, expected, jobs):
        assert database(Runner(jobs, trace=True)) == expected

    def test_stacks_of_replicates_record_what_trials_one_by_one_do(self, database, expected):
        assert database(HERE) == expected

    @pytest.mark.parametrize(
        "reorder", [list.reverse, random.Random(3).shuffle], ids=["reversed", "shuffled"]
    )
    def test_the_order_of_trials_does_not_matter(self, database, expected, reorder):
        assert database(InAnotherOrder(reorder)) == expected

    def test_a_run_that_was_interrupted_twice_and_resumed_records_the_same(
        self, database, expected
    ):
        for finished in (2, 3):
            with suppress(KeyboardInterrupt):
                database(StopsAfter(finished))
        assert database(HERE) == expected

    def test_a_trial_that_is_recorded_as_failed_and_run_again_is_as_if_it_had_not(
        self, database, expected, tmp_path, grid
    ):
        database(HERE)
        with closing(sqlite3.connect(tmp_path / "sweep.db")) as connection:
            connection.execute(
                "UPDATE trial SET verdict = 'failed', error = 'no', moved = NULL, max_drift = NULL"
            )
            connection.commit()
        with Store.open(f"sqlite:///{tmp_path}/sweep.db") as store:
            run_sweep(store, grid, HERE, retry_failed=True)
        assert contents(tmp_path / "sweep.db") == expected


TRIALS = [
    PlannedTrial(Setting("Adam", 0.1, 0.1, 0.9, ZeroGrad.ZERO), "small", 4),
    PlannedTrial(Setting("LBFGS", 1.0, None, None, ZeroGrad.NONE), "small", 4),
]


def shown(trial):
    """Everything that a trial shows, but for the time."""
    outcome = run_trial(trial, trace=True)
    seen = (outcome.verdict, outcome.measurement, outcome.causes, outcome.sideways)
    return (*seen, outcome.steps, outcome.environment, outcome.error)


@pytest.fixture(scope="module")
def alone():
    """What `TRIALS` show where nothing ran before."""
    return [shown(trial) for trial in TRIALS]


@pytest.fixture
def quiet():
    """Puts torch's modes and the generators back after a test that changes them."""
    threads, generators = torch.get_num_threads(), torch.get_rng_state()
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.set_autocast_enabled("cpu", False)
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    torch.use_deterministic_algorithms(False)
    torch.set_rng_state(generators)


def modes():
    """The state of this process that a trial could have left behind."""
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
    )


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("noise", NOISES)
class TestWhatRanBefore:
    def test_a_trial_shows_the_same_after_a_trial_that_left_it_behind(self, alone, noise):
        setting = Setting("noisy:Noisy", 0.1, 0.0, None, ZeroGrad.ZERO)
        noisy = run_trial(PlannedTrial(setting, "small", 4, options=f'{{"kind":"{noise}"}}'))
        assert (noisy.verdict, noisy.error) == (Verdict.FAILED, f"RuntimeError: {noise}")
        assert [shown(trial) for trial in TRIALS] == alone

    def test_a_trial_shows_the_same_in_a_process_that_was_left_so(self, alone, noise):
        NOISES[noise]()
        found = modes()
        assert [shown(trial) for trial in TRIALS] == alone
        assert modes() == found, "it is to leave them as it found them"


def kernels():
    """Each optimizer of torch with the options for its plain, foreach and fused kernels."""
    for name in torch.optim.__all__:
        optimizer = getattr(torch.optim, name)
        takes = inspect.signature(optimizer).parameters if inspect.isclass(optimizer) else {}
        others = [{kernel: True} for kernel in ("foreach", "fused") if kernel in takes]
        if others:
            yield pytest.param(name, others, id=name)


def test_torch_has_optimizers_with_other_kernels():
    found = {parameter.values[0]: parameter.values[1] for parameter in kernels()}
    assert len(found) >= 12
    assert [{"foreach": True}, {"fused": True}] == found["Adam"] == found["SGD"]


@pytest.mark.parametrize(("name", "others"), list(kernels()))
def test_the_kernel_changes_neither_verdict_nor_causes_nor_counts(name, others):
    plain = shown_with(name, {"foreach": False})
    assert {verdict for verdict, *_ in plain} == {Verdict.HOLDS, Verdict.LEAKS}
    for options in others:
        assert shown_with(name, options) == plain


def shown_with(name, options):
    """Verdict, error, causes and counts of a few trials of an optimizer with those options."""
    axes = {"optimizer": [name], "lr": [0.01], "weight_decay": [0.1]}
    raw = {"name": "t", "workload": "small", "steps": 4, "grid": [axes]}
    outcomes = map(run_trial, Grid(Spec.checked(raw | {"options": {name: options}}, "t")))
    return [
        (each.verdict, each.error, each.causes, each.sideways, *counts(each.measurement))
        for each in outcomes
    ]


def counts(seen):
    return (seen.frozen_steps, seen.leaked_steps, seen.first_leak_step) if seen else ()
