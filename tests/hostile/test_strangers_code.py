"""Modules with the names of Python's, lying beside a stranger's results: none of them is run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = (
    "random",
    "queue",
    "numpy",
    "json",
    "pickle",
    "selectors",
    "socket",
    "torch",
    "distributed",
)
PLANTED = 'import pathlib; pathlib.Path({!r}).write_text("ran")\n'
LEAKSWEEP = Path(sys.executable).with_name("leaksweep")
SMALL = ("--workload", "small", "--steps", 2, "--set", "optimizer=SGD", "--jobs", 2)


@pytest.fixture
def folder(tmp_path):
    """A folder in which each of those modules would leave a mark."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(PLANTED.format(str(tmp_path / f"{name}.ran")))
    return tmp_path


@pytest.fixture
def command(folder):
    """Runs a command in that folder, as somebody who has only changed there."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}

    def run(*words):
        asked = [*map(str, words), "--db", "sqlite:///results.db"]
        ended = subprocess.run(asked, cwd=folder, env=own, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        assert [path.name for path in folder.glob("*.ran")] == []

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", [(LEAKSWEEP,), (sys.executable, "-m", "leaksweep")], ids=["script", "module"]
)
def test_no_module_beside_the_results_is_run_by_the_driver_or_a_worker(command, program):
    command(*program, "run", *SMALL, "--name", "held")
    command(*program, "verify", "held", "--sample", 2, "--jobs", 2)


@pytest.mark.slow
def test_nor_by_a_cluster_of_this_machine(command):
    command(LEAKSWEEP, "run", *SMALL, "--backend", "dask")


@pytest.mark.slow
def test_what_a_command_names_is_found_there(command, folder):
    (folder / "mine.py").write_text("import torch\n\nclass Plain(torch.optim.SGD):\n    pass\n")
    command(LEAKSWEEP, "run", *SMALL[:4], "--set", "optimizer=mine:Plain", "--jobs", 2)
