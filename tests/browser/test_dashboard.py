"""optuna-dashboard on a published sweep, in a real browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.publishing.publish import publish
from sweep.running.runner import Runner
from sweep.searching.objective import Objective
from sweep.searching.study import recorded_rows
from sweep.store.store import Store

NAME = "momentum <b>&"
SPEC = """
workload = "small"
steps = 6

[[grid]]
optimizer = ["SGD", "Adam"]
momentum = [0.0, 0.9]
weight_decay = [0.0, 0.5]
"""
START = "import sys; from optuna_dashboard._cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A database with a sweep, and a journal with its study."""
    folder = tmp_path_factory.mktemp("dashboard")
    url, storage = f"sqlite:///{folder / 'sweep.db'}", str(folder / "optuna.log")
    with Store.open(url) as store:
        grid = Grid(from_toml(SPEC, source="the test", name=NAME))
        run_sweep(store, grid, Runner(1))
    publish(url, NAME, storage, objectives=[Objective.DRIFT_RATIO])
    return url, storage


@pytest.fixture(scope="module")
def address(published):
    """Where the dashboard of that storage is, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", START, published[1], "--host", "127.0.0.1", "--port"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, str(port)], env=os.environ | {"NO_PROXY": "*"}, **quiet)
    found = f"http://127.0.0.1:{port}"
    try:
        _wait_for(found, process)
        yield found
    finally:
        process.kill()  # it answers open connections first if it is asked to end
        process.wait()


def _wait_for(address, process):
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/api/studies", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"optuna-dashboard did not answer; it ended with {process.poll()}")


@pytest.fixture
def body(page):
    """The page's text once it says something."""

    def text(something):
        page.get_by_text(something).first.wait_for()
        return page.locator("body").inner_text()

    return text


@pytest.mark.slow
def test_the_dashboard_shows_the_study_and_its_trials(page, address, published, body):
    rows = recorded_rows(published[0], NAME)
    worst = max(rows, key=lambda row: row["drift_ratio"])
    page.goto(address)
    page.get_by_text(f"0. {NAME}").click()
    assert f"{NAME} (id=0)" in body("Hyperparameter Importance")  # the name is text, not markup
    page.goto(f"{page.url.partition('?')[0].rstrip('/')}/trials?numbers={rows.index(worst)}")
    trials = body(f"{len(rows)} Trials")
    assert f"Best Trial\nTrial {rows.index(worst) + 1}" in trials
    for expected in (
        f"Value\n\n{worst['drift_ratio']}",
        f"optimizer {worst['optimizer']}",
        f"momentum {worst['momentum']}",
        f"fingerprint {worst['fingerprint']}",
        f"leaked_steps {worst['leaked_steps']}",
        f"verdict {worst['verdict']}",
    ):
        assert expected in trials
