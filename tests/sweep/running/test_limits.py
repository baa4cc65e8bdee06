import ctypes
import math
import os
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from cloudpickle import register_pickle_by_value

from sweep.errors import MisuseError
from sweep.running import limits
from sweep.running.limits import Limits, TrialMemoryError, TrialTimeoutError, resident_mib
from sweep.running.pool import Pool
from sweep.running.runner import Runner
from sweep.running.task import Task
from sweep.values.outcome import Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Verdict

# Workers cannot import test modules, so the functions below travel as they are.
register_pickle_by_value(sys.modules[__name__])

ENVIRONMENT = Environment("2.13.0", "3.11.2", "Linux x86_64", "cpu", 1, "0.1.0")
HELD = Measurement(10, 0, None, 0.0, 0.0, 4.0, 0.0, 1.1, 0.9, False)
SOON = Limits(timeout_s=0.5)
SMALL = Limits(memory_mib=200)


def planned(seed):
    return PlannedTrial(Setting("SGD", 1.0, 0.0, 0.0, seed=seed), "small", 20)


def hold(trial):
    """Takes a trial as run, at once, and says in the outcome which process did."""
    now = datetime.now(UTC)
    held = Outcome(
        trial, ENVIRONMENT, "torch 2.13.0", Verdict.HOLDS, HELD, None, False, 0.0, None, now
    )
    return replace(held, error=str(os.getpid()))


def loop_for_ever():
    while True:
        pass


def sleep():
    time.sleep(600)


def hang_with_the_lock_held():
    ctypes.PyDLL(None).sleep(600)  # PyDLL keeps Python's lock; CDLL would let go of it


def eat(mib):
    eaten = [bytearray(os.urandom(2**20)) for _ in range(mib)]
    time.sleep(0.3)
    assert len(eaten) == mib


def misbehave(how, trial):
    """Has trial 3 do as ``how`` does, and all others hold."""
    if trial.setting.seed == 3:
        how()
    return hold(trial)


def with_a_note(folder, trial):
    """Notes each time that a trial is begun; trial 3 then hangs."""
    with (folder / str(trial.setting.seed)).open("a") as notes:
        notes.write("begun\n")
    return misbehave(sleep, trial)


def run(how, limits, *, jobs=1, trials=6):
    """The failed outcome, having checked that there is one, of trial 3, and no other."""
    runner = Runner(jobs, run_trial=partial(misbehave, how), limits=limits)
    outcomes = list(runner.run(map(planned, range(trials))))
    assert sorted(outcome.planned.setting.seed for outcome in outcomes) == list(range(trials))
    (failed,) = [outcome for outcome in outcomes if outcome.verdict is Verdict.FAILED]
    assert failed.planned == planned(3)
    return failed


@pytest.mark.parametrize("how", [loop_for_ever, sleep, hang_with_the_lock_held])
def test_a_trial_that_hangs_has_failed_and_the_others_are_unharmed(how):
    failed = run(how, SOON)
    assert failed.error == "TrialTimeoutError: took longer than 0.5 s (--trial-timeout)"
    assert 0.5 <= failed.train_seconds < 1.5


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_trial_that_eats_memory_has_failed_and_the_others_are_unharmed(jobs):
    failed = run(partial(eat, 2000), SMALL, jobs=jobs)
    assert failed.error.startswith("TrialMemoryError: took more than 200 MiB (--trial-memory): ")


def test_a_trial_within_its_limits_is_left_alone():
    generous = Limits(timeout_s=60, memory_mib=500)
    runner = Runner(1, run_trial=partial(misbehave, partial(eat, 50)), limits=generous)
    outcomes = list(runner.run(map(planned, range(5))))
    assert [outcome.verdict for outcome in outcomes] == [Verdict.HOLDS] * 5
    assert len({outcome.error for outcome in outcomes}) == 1  # one process did them all


def test_a_trial_that_hangs_is_not_run_again(tmp_path):
    runner = Runner(2, run_trial=partial(with_a_note, tmp_path), limits=SOON)
    assert len(list(runner.run(map(planned, range(6))))) == 6
    assert {note.read_text() for note in tmp_path.iterdir()} == {"begun\n"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_under_limits_a_killed_process_fails_its_trial_and_no_other(jobs):
    failed = run(partial(os._exit, 7), Limits(timeout_s=60), jobs=jobs)
    assert failed.error == (
        "WorkerDiedError: the process that ran it ended with EXIT(7): "
        "memory ran out, or native code crashed"
    )


def test_a_limit_stops_what_the_trial_has_started_too(tmp_path):
    def start_another():
        import subprocess

        other = subprocess.Popen(["sleep", "600"])
        (tmp_path / "pid").write_text(str(other.pid))
        other.wait()

    run(start_another, SOON)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 30
    while resident_mib(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert resident_mib(pid) == 0


def test_getting_ready_is_not_the_trials_time_or_memory():
    task = Task(hold, Limits(timeout_s=0.5, memory_mib=100), preload="slow_to_import")
    with closing(Pool(task, 1)) as pool:
        [outcome] = pool.outcomes(iter([(planned(0),)]))
    assert outcome.verdict is Verdict.HOLDS


def test_what_keeps_workers_from_their_task_reaches_whoever_gave_it():
    task = Task(hold, preload="no_such_module")
    with closing(Pool(task, 1)) as pool, pytest.raises(ModuleNotFoundError, match="no_such_mod"):
        list(pool.outcomes(iter([(planned(0),)])))


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("timeout_s", "--trial-timeout takes a number of seconds above 0; .* came"),
        ("memory_mib", "--trial-memory takes a number of MiB above 0; .* came"),
    ],
)
def test_a_limit_is_a_positive_number(field, message, value):
    with pytest.raises(MisuseError, match=message):
        Limits(**{field: value})


def test_memory_is_not_limited_where_it_cannot_be_read(monkeypatch):
    monkeypatch.setattr(limits, "_MEMORY_IS_READ", False)
    with pytest.raises(MisuseError, match="--trial-memory needs /proc"):
        Limits(memory_mib=100)


def test_passing_a_limit_is_an_error_and_keeping_to_it_is_none():
    both = Limits(timeout_s=5, memory_mib=100)
    assert both.broken(4.9, 100.0) is None
    late, large = both.broken(5.0, 0.0), both.broken(0.0, 101.0)
    assert isinstance(late, TrialTimeoutError)
    assert str(late) == "took longer than 5 s (--trial-timeout)"
    assert isinstance(large, TrialMemoryError)
    assert str(large) == "took more than 100 MiB (--trial-memory): 101 MiB when it was stopped"


def test_this_process_has_memory_and_one_that_has_ended_has_none():
    assert resident_mib(os.getpid()) > 20
    assert resident_mib(2**22 + 1) == 0.0
