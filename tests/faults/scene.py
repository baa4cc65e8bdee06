"""A sweep that faults happen to: its database, the drivers that run it, and what must hold."""

import multiprocessing
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import quick_leaksweep

TRIALS = 80
ENDS_WITHIN_S = 120.0
SPEC = """
workload = "small"

[[grid]]
optimizer = ["SGD"]
momentum = [0.9]
zero_grad = ["zero"]
seed = {seeds}
"""
HERE = Path(__file__).parent
_PROGRESS = re.compile(r"mine: .*\d+.*|Next: `leaksweep .*")
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["quick_imports"])


@dataclass(frozen=True)
class Ended:
    """How a driver ended: its exit code (minus the signal that killed it) and its stderr."""

    code: int
    err: str

    @property
    def complaints(self):
        """What it said besides how far it was."""
        return [line for line in self.err.splitlines() if not _PROGRESS.fullmatch(line)]


@dataclass(frozen=True)
class Driver:
    """A running `leaksweep run`; ``wait`` returns its exit code."""

    pid: int
    wait: Callable[[float], int]
    err: Path

    def end(self, timeout_s=ENDS_WITHIN_S):
        """Waits until it has ended."""
        code = self.wait(timeout_s)
        return Ended(code, self.err.read_text())

    def is_ready(self):
        """Whether it has got so far as to say what is to become of signals, or has ended."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except FileNotFoundError:
            return True
        caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1) or "State:\tZ" in status


@dataclass
class Scene:
    """A folder with a spec and a database, and the moments at which things happen to it.

    Attributes:
        fresh: whether drivers are started from nothing, as from a shell; else they are forked
            from a process that has imported what they need.
        backend: the words that say where trials run.
    """

    folder: Path
    moments: Random
    fresh: bool = False
    backend: tuple[str, ...] = ("--jobs", "1")
    started: int = field(default=0, init=False)

    def __post_init__(self):
        self.folder.mkdir()
        self.spec = self.folder / "mine.toml"
        self.spec.write_text(SPEC.format(seeds=list(range(TRIALS))))
        self.home = self.folder / "results"
        self.home.mkdir()

    def close(self):
        """Takes off again what was mounted."""
        if self.home.is_mount():
            subprocess.run(["umount", self.home], check=True)

    @property
    def database(self):
        """The path of the database."""
        return self.home / "sweep.db"

    def start(self, condition=""):
        """Starts a driver, under a condition of `quick_leaksweep` if one is given."""
        self.started += 1
        out, err = (self.folder / f"{self.started}.{name}" for name in ("out", "err"))
        words = ["run", str(self.spec), "--db", f"sqlite:///{self.database}", *self.backend]
        if self.fresh:
            return _from_nothing([condition, *words], out, err)
        process = _FORKED.Process(
            target=quick_leaksweep.forked, args=(condition, words, str(out), str(err))
        )
        process.start()

        def wait(timeout_s):
            process.join(timeout_s)
            assert process.exitcode is not None, f"still running after {timeout_s} s"
            return process.exitcode

        return Driver(process.pid, wait, err)

    def pause(self, up_to_s):
        """Waits for a moment."""
        time.sleep(self.moments.uniform(0.0, up_to_s))

    def pause_until_busy(self, driver):
        """Waits for a moment in which the driver starts, or one in which it records trials."""
        wait_until(driver.is_ready)
        if self.moments.random() < 0.7:
            wait_until(lambda: self.committed() or not is_alive(driver.pid))
            self.pause(0.8)
        else:
            self.pause(0.4)

    def committed(self):
        """Every row that is committed, by table, as another program reads them now."""
        if not self.database.exists():
            return set()
        address = f"{self.database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
            try:
                return {("trial", *row) for row in connection.execute("SELECT * FROM trial")}
            except sqlite3.OperationalError:  # no table yet
                return set()

    def check_whole(self):
        """Raises AssertionError unless the database is sound."""
        if not self.database.exists():
            return
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []

    def check_finished(self):
        """Raises AssertionError unless each setting is recorded, and once."""
        counted = "SELECT count(*), count(DISTINCT fingerprint), count(DISTINCT seed) FROM trial"
        with closing(sqlite3.connect(self.database)) as connection:
            assert connection.execute(counted).fetchone() == (TRIALS, TRIALS, TRIALS)
            assert connection.execute("SELECT name, planned FROM sweep").fetchall() == [
                ("mine", TRIALS)
            ]


def _from_nothing(words, out, err):
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "quick_leaksweep.py"), *words],
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": path},
        )
    return Driver(process.pid, process.wait, err)


def wait_until(holds, timeout_s=60.0):
    """Waits until it holds; whether it does."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_alive(pid):
    """Whether there is such a process that has not ended."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
