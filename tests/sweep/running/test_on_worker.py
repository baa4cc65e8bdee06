import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from cloudpickle import register_pickle_by_value

from sweep.running.fork_server import running
from sweep.running.on_worker import HAND_OVER_S, run_batch, stop
from sweep.running.task import Task
from sweep.values.outcome import Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Verdict

# Workers cannot import test modules, so the functions below travel as they are.
register_pickle_by_value(sys.modules[__name__])

SMALL_SERVER = "sweep.running.limits"  # a module that is soon imported
ENVIRONMENT = Environment("2.13.0", "3.11.2", "Linux", "cpu", 1, "0.1.0")
HELD = Measurement(10, 0, None, 0.0, 0.0, 4.0, 0.0, 1.1, 0.9, False)
LONG = 99


def planned(seed):
    return PlannedTrial(Setting("SGD", 1.0, 0.0, 0.0, seed=seed), "small", 20)


def hold(trial):
    """Takes a trial as run: at once, but for the long one."""
    time.sleep(600 if trial.setting.seed == LONG else 0)
    now = datetime.now(UTC)
    return Outcome(
        trial, ENVIRONMENT, "torch 2.13.0", Verdict.HOLDS, HELD, None, False, 0.0, None, now
    )


@pytest.fixture
def start():
    """The name and the task of a new run; what it has started is stopped."""
    runs = []

    def start():
        runs.append(uuid4().hex)
        return runs[-1], Task(hold, preload=SMALL_SERVER)

    yield start
    for run in runs:
        stop(run)


def batch(*seeds):
    return [(planned(seed),) for seed in seeds]


def seeds(outcomes):
    return [outcome.planned.setting.seed for outcome in outcomes]


def trial_processes():
    return psutil.Process(running(SMALL_SERVER)._process.pid).children()


def test_an_outcome_waits_for_no_long_trial_of_its_batch(start):
    job = start()
    run_batch(*job, batch(7))  # its process is there now
    started = time.monotonic()
    done = run_batch(*job, batch(0, 1, LONG, 2))
    assert time.monotonic() - started < HAND_OVER_S + 5.0  # and not 600
    assert seeds(done.outcomes) == [0, 1]
    assert sorted(trial.setting.seed for group in done.rest for trial in group) == [2, LONG]


def test_a_long_trial_that_comes_first_is_waited_for(start, monkeypatch):
    monkeypatch.setattr(f"{run_batch.__module__}.HAND_OVER_S", -1.0)
    done = run_batch(*start(), batch(0, 1, 2))
    assert len(done.outcomes) >= 1
    assert len(done.outcomes) + len(done.rest) == 3


def test_a_run_keeps_its_process_from_batch_to_batch(start):
    job = start()
    run_batch(*job, batch(0))
    (process,) = trial_processes()
    run_batch(*job, batch(1))
    assert trial_processes() == [process]


def test_a_driver_that_never_said_stop_leaves_no_more_than_one_process_and_its_files(start):
    run_batch(*start(), batch(0))
    (first,) = trial_processes()
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        run_batch(*start(), batch(0))
    assert len(os.listdir("/proc/self/fd")) == files
    (last,) = trial_processes()
    assert last != first
    assert not Path(f"/proc/{first.pid}").exists()  # not as a zombie either


def test_stopping_a_run_ends_its_trial_and_gives_nothing(start):
    job, done = start(), []
    thread = threading.Thread(target=lambda: done.append(run_batch(*job, batch(LONG))))
    thread.start()
    deadline = time.monotonic() + 20
    while not trial_processes() and time.monotonic() < deadline:
        time.sleep(0.02)
    stop(job[0])
    thread.join(20)
    assert done[0].outcomes == done[0].rest == ()
    assert run_batch(*job, batch(0)).outcomes == ()
