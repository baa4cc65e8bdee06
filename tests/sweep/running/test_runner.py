import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import psutil
import pytest
from cloudpickle import register_pickle_by_value

from sweep.running.runner import Runner
from sweep.values.outcome import Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Verdict

# Workers cannot import test modules, so the functions below travel as they are.
register_pickle_by_value(sys.modules[__name__])

ENVIRONMENT = Environment("2.13.0", "3.11.2", "Linux x86_64", "cpu", 1, "0.1.0")
HELD = Measurement(10, 0, None, 0.0, 0.0, 4.0, 0.0, 1.1, 0.9, False)
SOON_S = 20.0  # on a busy machine, too; the long trials take longer


def planned(seed):
    return PlannedTrial(Setting("SGD", 1.0, 0.0, 0.0, seed=seed), "small", 20)


def hold(trial):
    """Takes a trial as run, at once."""
    now = datetime.now(UTC)
    return Outcome(
        trial, ENVIRONMENT, "torch 2.13.0", Verdict.HOLDS, HELD, None, False, 0.0, None, now
    )


def hold_or_die(fatal, number, trial):
    """Kills the process that runs trial ``fatal`` by the signal ``number``."""
    if trial.setting.seed == fatal:
        os.kill(os.getpid(), number)
    return hold(trial)


def hold_or_exit(trial):
    if trial.setting.seed == 3:
        os._exit(7)
    return hold(trial)


def hold_in(trial):
    """Says in the outcome which process ran the trial."""
    return replace(hold(trial), error=str(os.getpid()))


def hold_after(seconds, trial):
    time.sleep(seconds)
    return hold(trial)


def seeds(outcomes):
    return sorted(outcome.planned.setting.seed for outcome in outcomes)


def workers():
    """The workers under this process; other tests may have left servers and browsers there."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            is_forked = child.ppid() != os.getpid() and "sweep.running" in " ".join(child.cmdline())
            found += [child] if is_forked else []
    return found


def wait_until(holds, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_trial_has_one_outcome(jobs):
    outcomes = Runner(jobs, run_trial=hold).run(map(planned, range(50)))
    assert seeds(outcomes) == list(range(50))


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_trials_have_no_outcomes(jobs):
    assert list(Runner(jobs, run_trial=hold).run([])) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_trials_run_in_other_processes(jobs):
    outcomes = Runner(jobs, run_trial=hold_in).run(map(planned, range(4)))
    assert str(os.getpid()) not in {outcome.error for outcome in outcomes}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("fatal", [0, 3, 11])
def test_a_killed_worker_fails_its_trial_and_no_other(jobs, fatal):
    run_trial = partial(hold_or_die, fatal, signal.SIGKILL)
    outcomes = list(Runner(jobs, run_trial=run_trial).run(map(planned, range(12))))
    assert seeds(outcomes) == list(range(12))
    (failed,) = [outcome for outcome in outcomes if outcome.verdict is Verdict.FAILED]
    assert failed.planned == planned(fatal)
    assert failed.error.startswith("WorkerDiedError: the process that ran it ended with SIGKILL")


def test_a_trial_that_ends_its_process_is_a_failed_trial_with_the_exit_code():
    outcomes = list(Runner(1, run_trial=hold_or_exit).run(map(planned, range(5))))
    (failed,) = [outcome for outcome in outcomes if outcome.verdict is Verdict.FAILED]
    assert failed.planned == planned(3)
    assert "ended with EXIT(7): memory ran out" in failed.error


def test_several_killed_workers_fail_their_trials_alone():
    def run_trial(trial):
        if trial.setting.seed % 10 == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return hold(trial)

    outcomes = list(Runner(2, run_trial=run_trial).run(map(planned, range(40))))
    assert seeds(outcomes) == list(range(40))
    failed = [outcome for outcome in outcomes if outcome.verdict is Verdict.FAILED]
    assert seeds(failed) == [4, 14, 24, 34]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_leave_interruptions_to_the_driver(number):
    run_trial = partial(hold_or_die, 2, number)
    outcomes = list(Runner(2, run_trial=run_trial).run(map(planned, range(4))))
    assert [outcome.verdict for outcome in outcomes] == [Verdict.HOLDS] * 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_when_reading_trials_fails_what_was_read_finishes_first(jobs):
    def trials():
        yield from map(planned, range(7))
        raise OSError("the disk is gone")

    got = []
    with pytest.raises(OSError, match="the disk is gone"):
        got.extend(Runner(jobs, run_trial=hold).run(trials()))
    assert seeds(got) == list(range(7))


@pytest.mark.parametrize("jobs", [1, 2])
def test_trials_are_read_a_few_ahead(jobs):
    read = []

    def endless():
        while True:
            read.append(planned(len(read)))
            yield read[-1]

    run_trial = partial(hold_after, 0.02)
    outcomes = Runner(jobs, run_trial=run_trial).run(endless())
    finished = [next(outcomes) for _ in range(30)]
    ahead = len(read) - len(finished)
    outcomes.close()
    assert ahead < 200


def test_short_trials_wait_for_no_long_one_that_another_worker_runs():
    def run_trial(trial):
        time.sleep(600 if trial.setting.seed == 40 else 0.001)
        return hold(trial)

    outcomes = Runner(2, run_trial=run_trial).run(map(planned, range(100)))
    got = [next(outcomes) for _ in range(99)]
    outcomes.close()
    assert seeds(got) == [seed for seed in range(100) if seed != 40]


def test_of_two_workers_one_that_is_killed_costs_a_second_run_of_one_trial(tmp_path):
    def run_trial(trial):
        with (tmp_path / str(trial.setting.seed)).open("a") as notes:
            notes.write(f"{os.getpid()}\n")
        time.sleep(0.005)
        return hold(trial)

    outcomes = Runner(2, run_trial=run_trial).run(map(planned, range(400)))
    first = [next(outcomes) for _ in range(100)]
    killed = workers()[0]
    killed.kill()
    rest = list(outcomes)
    assert seeds([*first, *rest]) == list(range(400))
    assert {outcome.verdict for outcome in rest} == {Verdict.HOLDS}
    # At the end a worker with nothing to do takes what waits for the other, which may just have
    # begun it: that second run is not the killed one's.
    ran_by = [notes.read_text().split() for notes in tmp_path.iterdir()]
    again = [pids for pids in ran_by if str(killed.pid) in pids and len(pids) > 1]
    assert len(again) <= 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_closing_the_iterator_stops_the_workers(jobs):
    endless = map(planned, iter(int, 1))
    outcomes = Runner(jobs, run_trial=partial(hold_after, 0.05)).run(endless)
    next(outcomes)
    assert workers()
    started = time.monotonic()
    outcomes.close()
    assert time.monotonic() - started < SOON_S
    assert wait_until(lambda: not workers(), SOON_S)


@pytest.mark.parametrize("jobs", [1, 2])
def test_closing_does_not_wait_for_a_long_trial(jobs):
    def quick_then_long(trial):
        time.sleep(60 if trial.setting.seed else 0)
        return hold(trial)

    outcomes = Runner(jobs, run_trial=quick_then_long).run(map(planned, range(8)))
    next(outcomes)
    started = time.monotonic()
    outcomes.close()
    assert time.monotonic() - started < SOON_S
    assert wait_until(lambda: not workers(), SOON_S)
