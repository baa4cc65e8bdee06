"""Makes a SQLite database of today's schema, to be kept: tests/data/leaksweep_NNNN.sqlite3.

    python tests/data/make_database.py

Run it when a revision of the schema is released, and commit what it writes:
tests/sweep/store/test_kept_databases.py then opens it with the code of the day. It overwrites
none. The sweep `kept` lacks one of its trials, as if its run had been killed.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.running.runner import Runner
from sweep.store.revision import HEAD
from sweep.store.store import Store

KEPT = Path(__file__).with_name(f"{HEAD}.sqlite3")
SPEC = """
name = "kept"
workload = "small"
steps = 4
trace = true

[[grid]]  # leaks and holds
optimizer = ["SGD", "Adam", "LBFGS"]
zero_grad = ["none", "zero"]

[[grid]]  # inert
optimizer = ["SGD"]
lr = [0.0]
zero_grad = ["zero"]

[[grid]]  # fails
optimizer = ["Rprop"]
zero_grad = ["zero"]

[options.Rprop]
etas = [2.0, 0.5]
"""
LACKING = "optimizer = 'Adam' AND zero_grad = 'none'"


def main() -> None:
    """Writes the file. Raises FileExistsError where it is there already."""
    if KEPT.exists():
        raise FileExistsError(f"{KEPT} is kept as it was released")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "sweep.db")
        record(f"sqlite:///{made}")
        with closing(sqlite3.connect(made)) as connection:
            steps = f"SELECT id FROM trial WHERE {LACKING}"
            connection.execute(f"DELETE FROM step WHERE trial_id IN ({steps})")
            connection.execute(f"DELETE FROM trial WHERE {LACKING}")
            connection.commit()
            connection.execute("VACUUM")
        shutil.copy(made, KEPT)


def record(url: str) -> None:
    """Runs the sweep into the database at ``url``, or what it lacks there."""
    with Store.open(url) as store:
        grid = Grid(from_toml(SPEC, source="make_database.py", name="kept"))
        run_sweep(store, grid, Runner(1, trace=True))


if __name__ == "__main__":
    main()
