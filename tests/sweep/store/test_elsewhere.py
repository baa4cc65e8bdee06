"""Trials of other sweeps are taken over where they would give the same bits, and only there."""

import pytest

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.running.runner import Runner
from sweep.store.store import Store

SPEC = """
workload = "small"
steps = 3

[[grid]]
optimizer = {optimizers}
seed = {seeds}
zero_grad = ["none", "zero"]
"""


def grid(name, seeds=(0, 1), optimizers=("SGD",), *, trace=False):
    text = SPEC.format(optimizers=list(optimizers), seeds=list(seeds))
    spec = from_toml(text, source="the test", name=name)
    return Grid(spec.model_copy(update={"trace": trace}))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A database with a sweep of four trials that were run here."""
    path = tmp_path_factory.mktemp("made") / "x.db"
    with Store.open(path) as store:
        run_sweep(store, grid("first"), Runner(1))
    return path


@pytest.fixture
def store(made, tmp_path):
    copy = tmp_path / "x.db"
    copy.write_bytes(made.read_bytes())
    with Store.open(copy) as opened:
        yield opened


def ran(store, wanted, runner=None):
    return run_sweep(store, wanted, runner or Runner(1))


def trials(store, name):
    from sqlalchemy import select

    from sweep.store.models import SweepRow, TrialRow

    with store.reading("read") as connection:
        query = select(TrialRow.__table__).join(SweepRow, SweepRow.id == TrialRow.sweep_id)
        rows = connection.execute(query.where(SweepRow.name == name)).mappings()
        return {row["fingerprint"]: dict(row) for row in rows}


def test_the_same_grid_under_another_name_runs_nothing(store):
    progress = ran(store, grid("second"))
    assert (progress.taken_over, progress.finished, progress.recorded) == (4, 0, 4)
    first, second = trials(store, "first"), trials(store, "second")
    assert set(first) == set(second)
    for fingerprint, row in second.items():
        own = {"id", "sweep_id"}
        theirs = first[fingerprint]
        assert {k: v for k, v in row.items() if k not in own} == {
            k: v for k, v in theirs.items() if k not in own
        }


def test_what_others_lack_is_run(store):
    progress = ran(store, grid("second", seeds=(1, 2)))
    assert (progress.taken_over, progress.finished) == (2, 2)
    assert len(trials(store, "second")) == 4


def test_a_trial_of_another_environment_is_run_again(store):
    change(store, "environment", blas="another")
    assert ran(store, grid("second")).taken_over == 0


def test_a_trial_of_another_version_of_torch_is_run_again(store):
    change(store, "environment", torch="1.0")
    assert ran(store, grid("second")).taken_over == 0


def test_a_trial_of_another_version_of_the_optimizers_library_is_run_again(store):
    change(store, "trial", optimizer_package="torch 1.0")
    assert ran(store, grid("second")).taken_over == 0


def test_a_failed_trial_is_run_again(store):
    change(store, "trial", verdict="failed", error="no")
    assert ran(store, grid("second")).taken_over == 0


def test_steps_are_recorded_by_running(store):
    assert ran(store, grid("second", trace=True), Runner(1, trace=True)).taken_over == 0


def test_code_of_ones_own_is_run_again(store):
    names = ("planted:Momentum",)
    ran(store, grid("own", optimizers=names))
    assert ran(store, grid("own again", optimizers=names)).taken_over == 0


def change(store, table, **values):
    from sqlalchemy import text

    columns = ", ".join(f"{name} = :{name}" for name in values)
    with store.writing("write to") as connection:
        connection.execute(text(f"UPDATE {table} SET {columns}"), values)
