"""Databases that strangers made, and the commands that read them."""

import runpy
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from sweep.cli.app import app
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.store.store import Store
from sweep.values.outcome import StepRecord
from sweep.values.words import GradState

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.append(HERE)
_STORES = runpy.run_path(str(Path(__file__).parents[1] / "sweep" / "store" / "conftest.py"))
postgres_server, postgres_url = _STORES["postgres_server"], _STORES["postgres_url"]
MAKERS = runpy.run_path(str(Path(__file__).parents[1] / "sweep" / "store" / "writing_process.py"))


SPEC = """
workload = "small"
steps = 2

[[grid]]
optimizer = ["SGD"]
zero_grad = ["none"]
seed = [0, 1]
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def program():
    """The program, made once: to make it takes longer than to run most commands."""
    return typer.main.get_command(app)


@pytest.fixture
def leaksweep(program, capsys):
    """Runs ``leaksweep`` with these words in this process; returns how it ended."""

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            program(args=[str(word) for word in words], prog_name="leaksweep")
        return Ended(ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """The path of a database with one sweep of three trials, the first of them traced."""
    path = tmp_path_factory.mktemp("template") / "sweep.db"
    with Store.open(f"sqlite:///{path}") as store:
        spec = Grid(from_toml(SPEC, source="the test", name="mine")).canonical()
        sweep = store.record_sweep("mine", spec, 3)
        now, traced = datetime.now(UTC), (StepRecord(1, True, 0.5, GradState.ZERO, True, 0.5),)
        outcomes = [MAKERS["outcome"](seed, finished_at=now) for seed in range(3)]
        store.write(sweep.id, [replace(outcomes[0], steps=traced), *outcomes[1:]])
    return path


@pytest.fixture
def database(template, tmp_path):
    """The path of a copy of it."""
    path = tmp_path / "theirs" / "sweep.db"
    path.parent.mkdir()
    return Path(shutil.copy(template, path))


@pytest.fixture
def change(database):
    """Runs statements on the database as its own maker might."""

    def execute(*statements):
        for statement in statements:  # in a connection each, which reads the schema anew
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("PRAGMA ignore_check_constraints = ON")
                connection.execute("PRAGMA writable_schema = ON")
                connection.execute(statement)
                connection.commit()

    return execute


@pytest.fixture
def spec(tmp_path):
    """The path of the spec that the database's sweep is of."""
    path = tmp_path / "mine.toml"
    path.write_text(SPEC)
    return path
