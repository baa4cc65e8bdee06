"""A traced sweep and one with failures, made once by the program, and the page on them."""

import re
import shutil
import subprocess
import sys

import pytest

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.running.runner import Runner
from sweep.store.store import Store

SPEC = """
workload = "small"
steps = 8

[[grid]]
optimizer = {optimizers}
momentum = [0.0, 0.9]
weight_decay = [0.0, 0.5]
freeze = ["detach", "grad_none"]
"""
SWEEPS = {"traced": ["SGD", "Adam"], "with failures": ["SGD", "faulty:RaisesAtStep7"]}


def recorded(url, name, **options):
    """Records what the sweep of that name still lacks in the database at ``url``."""
    text = SPEC.format(optimizers=SWEEPS[name])
    with Store.open(url) as store:
        grid = Grid(from_toml(text, source="the test", name=name))
        run_sweep(store, grid, Runner(1, trace=name == "traced"), **options)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    path = tmp_path_factory.mktemp("serve") / "sweep.db"
    for name in SWEEPS:
        recorded(f"sqlite:///{path}", name)
    return path


@pytest.fixture(scope="session")
def made_once_url(made_once):
    """The URL of the database that nobody may change."""
    return f"sqlite:///{made_once}"


@pytest.fixture(scope="session")
def serve_once(made_once_url):
    """The address of a page that only reads, shared by the tests that only ask."""
    command = [sys.executable, "-m", "sweep", "serve", "--db", made_once_url, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        yield re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())[0]
        process.terminate()


@pytest.fixture
def database(made_once, tmp_path):
    """The path of a copy of a database with the sweeps `traced` and `with failures`."""
    return shutil.copy(made_once, tmp_path / "sweep.db")


@pytest.fixture
def url(database):
    """Its URL."""
    return f"sqlite:///{database}"


@pytest.fixture
def complete():
    """Records what a sweep of that name still lacks."""
    return recorded


@pytest.fixture
def serve(start_leaksweep):
    """Starts the page on a database; returns its process and its address."""

    def start(url, port=0):
        process = start_leaksweep("serve", "--db", url, "--port", port)
        line = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line + process.stderr.read()
        return process, found[0]

    return start
