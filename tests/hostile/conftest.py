"""Databases that strangers made, and the commands that read them."""

import runpy
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sweep.store.store import Store

MAKERS = runpy.run_path(str(Path(__file__).parents[1] / "sweep" / "store" / "writing_process.py"))


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def leaksweep(monkeypatch, capsys):
    """Runs ``leaksweep`` with these words in this process; returns how it ended."""
    from typer.testing import CliRunner

    from sweep.cli.app import app

    def run(*words):
        done = CliRunner().invoke(app, [str(word) for word in words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ended(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def database(tmp_path):
    """The path of a database with one sweep of three trials."""
    path = tmp_path / "theirs" / "sweep.db"
    with Store.open(f"sqlite:///{path}") as store:
        sweep = store.record_sweep("mine", "{}", 3)
        now = datetime.now(UTC)
        store.write(sweep.id, [MAKERS["outcome"](seed, finished_at=now) for seed in range(3)])
    return path


@pytest.fixture
def change(database):
    """Runs statements on the database as its own maker might."""

    def execute(*statements):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return execute
