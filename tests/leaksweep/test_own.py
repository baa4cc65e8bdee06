"""In other people's projects, which have a sweep.py and an analysis.py of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

THEIRS = """
print("theirs:", __name__)
VALUE = "their {name}"
"""

LOOP = """
def leaking():
    import torch

    model = torch.nn.Linear(2, 2)
    model.bias.grad = torch.zeros(2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1, weight_decay=0.5)
    from leaksweep import watch

    with watch(model, optimizer) as leaks:
        optimizer.step()
    return leaks.summary()
"""

TESTS = """
import sweep
from analysis import VALUE
from loop import leaking


def test_theirs_is_theirs():
    assert (sweep.VALUE, VALUE) == ("their sweep", "their analysis")


def test_the_fixture_finds_its_way(watch_leaks):
    import torch

    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    watch_leaks(model, optimizer)
    model(torch.ones(2)).sum().backward()
    optimizer.step()


def test_a_leak_is_explained():
    assert "weight decay" in leaking() or "decay" in leaking()


def test_theirs_is_still_theirs():
    import sweep as again

    assert again is sweep
    assert not hasattr(again, "watching")
"""

SWEEP_SMALL = ("--workload", "small", "--steps", "2", "--set", "optimizer=SGD")


@pytest.fixture
def project(tmp_path):
    """A folder with a ``sweep.py`` and an ``analysis.py`` that are not ours."""
    for name in ("sweep", "analysis"):
        (tmp_path / f"{name}.py").write_text(THEIRS.format(name=name))
    (tmp_path / "loop.py").write_text(LOOP)
    return tmp_path


@pytest.fixture
def inside(project):
    """Runs a command in the project; what it printed, and how it ended."""

    def run(*words, **environment):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON"))}
        done = subprocess.run(
            words, cwd=project, env=env | environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def script(inside, project):
    """Runs a script of the project."""

    def run(text, name="script.py"):
        (project / name).write_text(text)
        return inside(sys.executable, name)

    return run


PROGRAM = str(Path(sys.executable).with_name("leaksweep"))


def test_their_tests_run_and_the_fixture_judges_in_the_same_process(inside, project):
    (project / "test_theirs.py").write_text(TESTS)
    done = inside(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "4 passed" in done.stdout


@pytest.mark.parametrize(
    "command", [(PROGRAM,), (sys.executable, "-m", "leaksweep")], ids=["program", "module"]
)
def test_a_sweep_runs_beside_their_files_and_imports_neither(inside, command):
    done = inside(*command, "run", *SWEEP_SMALL, "--jobs", "2")
    assert "Did the frozen layer move?" in done.stdout
    assert "theirs:" not in done.stdout + done.stderr


def test_a_sweep_runs_where_their_folder_is_on_the_path(inside, project):
    done = inside(PROGRAM, "run", *SWEEP_SMALL, "--jobs", "2", PYTHONPATH=".")
    assert "Did the frozen layer move?" in done.stdout
    assert "theirs:" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "imports",
    [
        "from leaksweep import watch\nimport sweep, analysis",
        "import sweep, analysis\nfrom leaksweep import watch",
    ],
    ids=["ours first", "theirs first"],
)
def test_a_script_has_both_in_either_order(script, imports):
    done = script(f"{imports}\nimport loop\nprint(sweep.VALUE, analysis.VALUE, loop.leaking())")
    assert "their sweep their analysis" in done.stdout
    assert "bias" in done.stdout


def test_a_script_that_is_their_sweep_py_is_not_run_twice(script):
    done = script("print('begins')\nimport loop\nprint(loop.leaking())", name="sweep.py")
    assert done.stdout.count("begins") == 1
    assert "bias" in done.stdout


def test_a_folder_of_that_name_without_code_is_not_taken_for_ours(script, project):
    (project / "sweep.py").unlink()
    (project / "sweep" / "runs").mkdir(parents=True)
    assert "bias" in script("import loop\nprint(loop.leaking())").stdout


def test_a_sweep_runs_from_their_script_in_worker_processes(script):
    done = script(
        """
if __name__ == "__main__":
    from leaksweep import load, run
    import sweep

    ran = run(workload="small", steps=2, set={"optimizer": "SGD"}, name="mine", jobs=2)
    print(sweep.VALUE, len(ran.trials()), ran.table("by_optimizer")["trials"].sum())
    print(load(sweep="mine"))
"""
    )
    assert "their sweep 24 24" in done.stdout
    assert "<leaksweep.Results: sweep 'mine' of sqlite:///results/sweep.db>" in done.stdout


def test_importing_the_front_door_or_the_plugin_imports_none_of_the_rest():
    code = """
import sys
import pytest
before = set(sys.modules)
import leaksweep, leaksweep.pytest_plugin
print(sorted(name for name in set(sys.modules) - before if not name.startswith("leaksweep")))
print(sorted(name for name in sys.modules if name.split(".")[0] in ("sweep", "analysis", "torch")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done
