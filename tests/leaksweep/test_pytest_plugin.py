"""The fixture ``watch_leaks``, in a pytest of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "watch.md"

TESTS = """
import pytest
import torch
from torch import nn


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))


def train(model, optimizer, set_to_none):
    for step in range(4):
        model[0].requires_grad_(step % 2 == 0)
        model(torch.ones(3, 2)).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=set_to_none)


OPTIMIZERS = []


def test_leaks(model, watch_leaks):
    OPTIMIZERS.append(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    watch_leaks(model, OPTIMIZERS[0])
    train(model, OPTIMIZERS[0], set_to_none=False)


def test_hooks_are_off_after_a_failure():
    (optimizer,) = OPTIMIZERS
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_holds(model, watch_leaks):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    leaks = watch_leaks(model, optimizer)
    train(model, optimizer, set_to_none=True)
    assert leaks.findings.steps == [4]


def test_fails_by_itself(model, watch_leaks):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    watch_leaks(model, optimizer)
    train(model, optimizer, set_to_none=False)
    assert False, "for another reason"


def test_options(model, watch_leaks):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watch_leaks(model, optimizer, frozen=["1.bias"])
    train(model, optimizer, set_to_none=True)


RUNS = []


def test_run_twice(model, watch_leaks):
    RUNS.append(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    watch_leaks(model, optimizer)
    train(model, optimizer, set_to_none=len(RUNS) == 2)
"""

# As pytest-rerunfailures has it: the same item once more, its fixtures made anew.
CONFTEST = """
from _pytest.runner import runtestprotocol


def pytest_runtest_protocol(item, nextitem):
    if item.name == "test_run_twice":
        first = runtestprotocol(item, nextitem=nextitem, log=False)
        print("FIRST RUN", [report.outcome for report in first if report.when == "call"])
        item._initrequest()
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What pytest prints about the tests above, and about the page's example."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "test_theirs.py").write_text(TESTS)
    (folder / "conftest.py").write_text(CONFTEST)
    example = re.search(
        r"<!-- pytest-example -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    (folder / "test_page.py").write_text(example[1])
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"}
    plugin = "leaksweep.pytest_plugin"
    command = [sys.executable, "-m", "pytest", "-rA", "-p", plugin, "-sp", "no:cacheprovider"]
    return subprocess.run(
        [*command, str(folder)],
        cwd=folder,
        env=os.environ | environment,  # other people's plugins stay out
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout


@pytest.mark.parametrize(
    "line",
    [
        "FAILED test_theirs.py::test_leaks - sweep.errors.LeakError: step() moved 2 parameters",
        "PASSED test_theirs.py::test_hooks_are_off_after_a_failure",
        "PASSED test_theirs.py::test_holds",
        "FAILED test_theirs.py::test_fails_by_itself - AssertionError: for another reason",
        "FAILED test_theirs.py::test_options - sweep.errors.LeakError: step() moved 1 parameter ",
        "PASSED test_page.py::test_my_frozen_layer_keeps_still",
        "FIRST RUN ['failed']",
        "PASSED test_theirs.py::test_run_twice",
        "3 failed, 4 passed",
    ],
)
def test_a_test_fails_on_a_leak_and_only_then(outcome, line):
    assert line in outcome, outcome
