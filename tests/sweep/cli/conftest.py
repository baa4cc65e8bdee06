"""A database with two small sweeps, made once by the program itself."""

import shutil

import pytest

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.running.runner import Runner
from sweep.store.store import Store

SPEC = """
workload = "small"
steps = 10

[[grid]]
optimizer = {optimizers}
zero_grad = ["none", "zero"]
momentum = [0.0, 0.9]
"""
SWEEPS = {"held": ["SGD", "Adam"], "with failures": ["SGD", "faulty:RaisesAtStep7"]}


@pytest.fixture(autouse=True)
def of_no_width(monkeypatch):
    """No width of a terminal's: pytest-xdist gives its workers one, and tables lie as it says."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "sweep.db"
    with Store.open(f"sqlite:///{path}") as store:
        for name, optimizers in SWEEPS.items():
            text = SPEC.format(optimizers=optimizers)
            grid = Grid(from_toml(text, source="the test", name=name))
            run_sweep(store, grid, Runner(1))
    return path


@pytest.fixture
def database(made_once, tmp_path):
    """The path of a copy of a database with the sweeps `held` and `with failures`."""
    return shutil.copy(made_once, tmp_path / "sweep.db")


@pytest.fixture
def url(database, monkeypatch):
    """Its URL, which is also the one that commands take if none is given."""
    monkeypatch.setenv("LEAKSWEEP_DB", f"sqlite:///{database}")
    return f"sqlite:///{database}"
