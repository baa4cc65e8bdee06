import os
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import pytest
from cloudpickle import register_pickle_by_value

from sweep.running.batches import BatchSize
from sweep.running.limits import Limits
from sweep.running.on_worker import run_batch, stop
from sweep.running.pool import in_workers
from sweep.running.runner import Runner
from sweep.running.task import Task, trained
from sweep.values.outcome import Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Backend, Verdict

# Workers cannot import test modules, so the functions below travel as they are.
register_pickle_by_value(sys.modules[__name__])

ENVIRONMENT = Environment("2.13.0", "3.11.2", "Linux x86_64", "cpu", 1, "0.1.0")
HELD = Measurement(10, 0, None, 0.0, 0.0, 4.0, 0.0, 1.1, 0.9, False)
TRIALS = tuple(PlannedTrial(Setting("SGD", 1.0, 0.0, 0.0, seed=i), "small", 5) for i in range(4))


def hold(trial):
    now = datetime.now(UTC)
    return Outcome(
        trial, ENVIRONMENT, "torch 2.13.0", Verdict.HOLDS, HELD, None, False, 0.0, None, now
    )


def hold_all(group):
    return [hold(trial) for trial in group]


def hold_but(seed, trial):
    if trial.setting.seed == seed:
        raise KeyboardInterrupt("an optimizer's own")
    return hold(trial)


def hold_all_but(seed, group):
    return [hold_but(seed, trial) for trial in group]


def killed(group):
    os.kill(os.getpid(), signal.SIGKILL)


def hold_or_kill(seed, trial):
    return killed(trial) if trial.setting.seed == seed else hold(trial)


def fails(trial):
    raise RuntimeError("a mistake in this program")


def verdicts(outcomes):
    found = {outcome.planned.setting.seed: outcome.verdict for outcome in outcomes}
    return [found[seed] for seed in sorted(found)]


def test_trials_stay_apart_where_nothing_runs_them_together():
    assert list(Task(hold).groups(TRIALS)) == [(trial,) for trial in TRIALS]


def test_trials_go_together_where_something_runs_them_so():
    assert list(Task(hold, run_group=hold_all).groups(TRIALS)) == [TRIALS]


def test_one_of_a_group_that_raises_what_ctrl_c_raises_fails_alone():
    task = Task(partial(hold_but, 2), run_group=partial(hold_all_but, 2))
    outcomes = list(task.contained_group(TRIALS))
    assert verdicts(outcomes) == [Verdict.HOLDS, Verdict.HOLDS, Verdict.FAILED, Verdict.HOLDS]
    assert outcomes[2].error == "KeyboardInterrupt: an optimizer's own"


def test_a_trial_that_raises_has_failed_whatever_raises_it():
    outcomes = list(Task(fails).contained_group(TRIALS))
    assert [outcome.error for outcome in outcomes] == [
        "RuntimeError: a mistake in this program"
    ] * 4


def in_worker_processes(task):
    return in_workers(TRIALS, task, 2)


def in_a_batch(task):
    run = uuid4().hex
    try:
        return run_batch(run, task, list(task.groups(TRIALS))).outcomes
    finally:
        stop(run)


@pytest.mark.parametrize("run", [in_worker_processes, in_a_batch])
def test_a_group_that_kills_its_process_is_run_trial_by_trial(run):
    task = Task(partial(hold_or_kill, 2), run_group=killed)
    assert verdicts(run(task)) == [Verdict.HOLDS, Verdict.HOLDS, Verdict.FAILED, Verdict.HOLDS]


def test_a_batch_is_of_whole_groups():
    groups = iter([TRIALS, TRIALS, TRIALS[:1]])
    size = BatchSize(5)
    assert size.taken(groups) == [TRIALS, TRIALS]
    assert size.taken(groups) == [TRIALS[:1]]
    assert size.taken(groups) == []


@pytest.mark.parametrize(
    "runner",
    [
        pytest.param(Runner(2, stacked=False), id="as asked"),
        pytest.param(Runner(2, limits=Limits(timeout_s=9)), id="a limit is a trial's own"),
        pytest.param(Runner(2, Backend.DASK, run_trial=hold), id="another task"),
    ],
)
def test_nothing_is_stacked_where_each_trial_is_to_run_by_itself(runner):
    assert runner.task().run_group is None


def test_a_group_trains_to_the_outcomes_of_its_trials():
    task = trained(trace=False, device="cpu")
    together = task.contained_group(TRIALS)
    apart = [task.contained(trial) for trial in TRIALS]
    assert [outcome.measurement for outcome in together] == [o.measurement for o in apart]
