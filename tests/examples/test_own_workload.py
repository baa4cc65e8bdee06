"""A workload of a user's own through the whole program, as docs/workloads.md says."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sweep.cli.app import main
from sweep.errors import WorkloadError
from sweep.optimizers import registry
from sweep.workloads.built_in import check_workload

PROGRAM = Path(sys.executable).with_name("leaksweep")
PAGE = Path(__file__).parents[2] / "docs" / "workloads.md"
FAULTY = "def raises(seed):\n    raise ValueError('no data here')\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory, with the page's example in it as ``mymodule``."""
    found = re.search(r"<!-- workload-example -->\n```python\n(.+?)```", PAGE.read_text(), re.S)
    (tmp_path / "mymodule.py").write_text(found[1])
    (tmp_path / "faulty_work.py").write_text(FAULTY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name in ("mymodule", "faulty_work"):
        sys.modules.pop(name, None)


def query(path, text):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(text).fetchall()


@pytest.mark.slow
def test_the_console_script_and_its_workers_find_a_module_in_the_current_directory(here):
    words = ["--workload", "mymodule:build", "--steps", "6", "--set", "optimizer=SGD,AdamW"]
    axes = ["--set", "momentum=0.9", "--set", "weight_decay=0,0.1", "--set", "schedule=alternate"]
    options = ["--db", f"sqlite:///{here}/own.db", "--jobs", "2", "--name", "mine"]
    ended = subprocess.run(
        [PROGRAM, "run", *words, *axes, *options], capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
    trials = query(here / "own.db", "SELECT DISTINCT workload, zero_grad, verdict FROM trial")
    assert set(trials) == {
        ("mymodule:build", "none", "holds"),
        ("mymodule:build", "zero", "leaks"),
        ("mymodule:build", "never", "leaks"),
    }
    causes = "SELECT DISTINCT by_history, by_decay FROM trial WHERE zero_grad = 'zero'"
    assert set(query(here / "own.db", causes + " AND weight_decay = 0")) == {(1, 0)}
    assert set(query(here / "own.db", causes + " AND weight_decay > 0")) == {(1, 1)}


def test_a_module_in_the_current_directory_is_found(here):
    check_workload("mymodule:build", seed=0)


def test_a_module_that_is_nowhere_is_answered_with_where_it_was_looked_for(here):
    where = re.escape(str(here))
    with pytest.raises(WorkloadError, match=f"'nowhere'.*current directory, {where}, or installed"):
        check_workload("nowhere:build", seed=0)


def test_what_the_users_function_raises_is_told_in_one_message(here):
    message = "function 'faulty_work:raises' raised ValueError: no data here"
    with pytest.raises(WorkloadError, match=message):
        check_workload("faulty_work:raises", seed=0)


LACKING = """
from torch import nn
from leaksweep import Workload

def build(seed):
    return Workload(nn.Linear(2, 1), None, lambda model, data, step: None, ("wieght",))
"""


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ("lacking:build", "The workload freezes 'wieght', which the model has not. Did you mean"),
        ("faulty_work:raises", "function 'faulty_work:raises' raised ValueError: no data here"),
        ("nowhere:build", "The workload 'nowhere:build' cannot be imported"),
    ],
)
def test_run_tells_a_faulty_workload_before_anything_is_recorded(
    here, capsys, monkeypatch, workload, message
):
    (here / "lacking.py").write_text(LACKING)
    url = f"sqlite:///{here}/own.db"
    words = ["leaksweep", "run", "--workload", workload, "--steps", "2", "--db", url]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    sys.modules.pop("lacking", None)
    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (here / "own.db").exists()


def test_an_optimizer_of_one_s_own_in_the_current_directory_is_found(here):
    (here / "my_optimizers.py").write_text("from torch.optim import SGD\n\nclass Mine(SGD): ...\n")
    try:
        assert registry.lookup("my_optimizers:Mine").lr == "lr"
    finally:
        sys.modules.pop("my_optimizers", None)
