import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
import pytest
from cloudpickle import register_pickle_by_value
from distributed import Client

from sweep.errors import ClusterError, MisuseError
from sweep.running import cluster, runner
from sweep.running.batches import BATCH_S, LARGEST_BATCH, BatchSize
from sweep.running.limits import Limits
from sweep.running.runner import Runner
from sweep.running.task import Task
from sweep.values.outcome import Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Backend, Verdict, ZeroGrad

# Workers cannot import test modules, so the functions below travel as they are.
register_pickle_by_value(sys.modules[__name__])

ENVIRONMENT = Environment("2.13.0", "3.11.2", "Linux x86_64", "cpu", 1, "0.1.0")
HELD = Measurement(10, 0, None, 0.0, 0.0, 4.0, 0.0, 1.1, 0.9, False)
DASK = [sys.executable, "-m", "dask"]
HERE = "127.0.0.1"


def planned(seed):
    return PlannedTrial(Setting("SGD", 1.0, 0.0, 0.0, seed=seed), "small", 20)


def hold(trial):
    """Takes a trial as run, at once, and says in the outcome which process did."""
    now = datetime.now(UTC)
    held = Outcome(
        trial, ENVIRONMENT, "torch 2.13.0", Verdict.HOLDS, HELD, None, False, 0.0, None, now
    )
    return replace(held, error=str(os.getpid()))


def hold_after(seconds, trial):
    time.sleep(seconds)
    return hold(trial)


def die(trial):
    """Has trial 3 kill its process."""
    if trial.setting.seed == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return hold(trial)


def kill_worker(trial):
    """Has trial 0 kill the worker above its process, and with it the process."""
    if trial.setting.seed == 0:
        psutil.Process().parents()[1].kill()
        time.sleep(600)
    return hold_after(0.02, trial)


def hang(trial):
    time.sleep(600 if trial.setting.seed == 3 else 0)
    return hold(trial)


def seeds(outcomes):
    return sorted(outcome.planned.setting.seed for outcome in outcomes)


def wait_until(holds, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def trial_processes():
    """The processes under this one in which trials run: forked from a server of their own."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            is_ours = "sweep.running.forking" in " ".join(child.cmdline())
            if is_ours and child.cmdline() == child.parent().cmdline():
                found.append(child)
    return found


class Cluster:
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, folder):
        self.file = folder / "scheduler.json"
        self.processes = []
        self._log = (folder / "log.txt").open("w")
        self._start("scheduler", "--port", "0", "--no-dashboard", "--host", HERE)
        assert wait_until(self.file.exists, 60)
        self.scheduler = self.processes[0]
        self.workers = []

    @property
    def address(self):
        return json.loads(self.file.read_text())["address"]

    def add_worker(self):
        self.workers.append(self._start("worker", "--nthreads", "1", "--no-dashboard"))

    def _start(self, what, *options):
        command = [*DASK, what, "--scheduler-file", str(self.file), *options]
        environment = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
        process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, env=environment, start_new_session=True
        )
        self.processes.append(process)
        return process

    def wait_for_workers(self, workers):
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

    def close(self):
        for process in self.processes:  # each with its nanny's worker; trials end by themselves
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._log.close()


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A scheduler and two workers with a nanny each."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.add_worker()
    cluster.add_worker()
    yield cluster
    cluster.close()


@pytest.fixture
def on(started):
    """A runner on that cluster, whose workers are all there, whatever a test did to them."""
    started.wait_for_workers(2)
    return partial(Runner, 1, Backend.DASK, scheduler=started.address)


@pytest.mark.slow
def test_a_cluster_gives_the_outcomes_of_worker_processes(on):
    def settings():
        for optimizer, momentum in [("SGD", 0.9), ("Adam", 0.9), ("LBFGS", None)]:
            for zero_grad in ZeroGrad:
                setting = Setting(optimizer, 0.1, None, momentum, zero_grad)
                yield PlannedTrial(setting, "small", 6)

    def shown(outcomes):
        untimed = {"train_seconds": 0.0, "finished_at": datetime.min}
        same = [replace(outcome, **untimed) for outcome in outcomes]
        return sorted(same, key=lambda outcome: outcome.planned.fingerprint)

    there = shown(on(trace=True).run(settings()))
    assert len(there) == 9
    assert Verdict.FAILED not in {outcome.verdict for outcome in there}
    here = shown(Runner(2, trace=True).run(settings()))
    assert there == here


def test_every_trial_has_one_outcome(on):
    outcomes = list(on(run_trial=hold).run(map(planned, range(300))))
    assert seeds(outcomes) == list(range(300))
    assert str(os.getpid()) not in {outcome.error for outcome in outcomes}


def test_no_trials_have_no_outcomes(on):
    assert list(on(run_trial=hold).run([])) == []


def test_a_trial_that_kills_its_process_has_failed_and_the_others_are_unharmed(on):
    outcomes = list(on(run_trial=die).run(map(planned, range(12))))
    assert seeds(outcomes) == list(range(12))
    (failed,) = [outcome for outcome in outcomes if outcome.verdict is Verdict.FAILED]
    assert failed.planned == planned(3)
    assert failed.error.startswith("WorkerDiedError: the process that ran it ended with SIGKILL")


def test_a_trial_over_its_limits_has_failed_and_the_others_are_unharmed(on):
    limited = on(run_trial=hang, limits=Limits(timeout_s=0.5))
    outcomes = list(limited.run(map(planned, range(12))))
    assert seeds(outcomes) == list(range(12))
    (failed,) = [outcome for outcome in outcomes if outcome.verdict is Verdict.FAILED]
    assert failed.planned == planned(3)
    assert failed.error == "TrialTimeoutError: took longer than 0.5 s (--trial-timeout)"


def test_closing_the_iterator_stops_the_trials_and_not_the_workers(on, started):
    outcomes = on(run_trial=partial(hold_after, 0.05)).run(map(planned, range(10_000)))
    next(outcomes)
    assert trial_processes()
    outcomes.close()
    assert wait_until(lambda: not trial_processes(), 30)
    assert [worker.poll() for worker in started.workers] == [None, None]


def test_what_keeps_workers_from_the_task_is_told(on, monkeypatch):
    monkeypatch.setattr(runner, "Task", partial(Task, preload="only_here"))
    with pytest.raises(ClusterError, match=r"A worker cannot run trials: .*only_here"):
        list(on(run_trial=hold).run([planned(0)]))


def test_when_reading_trials_fails_what_was_read_finishes_first(on):
    def trials():
        yield from map(planned, range(7))
        raise OSError("the disk is gone")

    got = []
    with pytest.raises(OSError, match="the disk is gone"):
        got.extend(on(run_trial=hold).run(trials()))
    assert seeds(got) == list(range(7))


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(on, started):
    outcomes, killed = [], False
    for outcome in on(run_trial=partial(hold_after, 0.02)).run(map(planned, range(400))):
        outcomes.append(outcome)
        if len(outcomes) > 100 and not killed:
            psutil.Process(int(outcome.error)).parents()[1].kill()
            killed = True
    assert killed
    assert seeds(outcomes) == list(range(400))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.HOLDS}


@pytest.mark.slow
def test_a_trial_that_kills_its_worker_has_failed_and_the_others_are_unharmed(on):
    outcomes = list(on(run_trial=kill_worker).run(map(planned, range(60))))
    assert seeds(outcomes) == list(range(60))
    (failed,) = [outcome for outcome in outcomes if outcome.verdict is Verdict.FAILED]
    assert failed.planned == planned(0)
    assert failed.error == (
        "WorkerDiedError: every worker that ran it died, 2 in all: "
        "memory ran out, or native code crashed"
    )


def test_other_versions_on_a_worker_are_told(on, monkeypatch):
    monkeypatch.setattr(cluster.platform, "python_version", lambda: "3.99.0")
    told = []
    assert len(list(on(run_trial=hold, tell=told.append).run(map(planned, range(3))))) == 3
    assert len(set(told)) == len(told) == 2
    for message in told:
        assert " has python 3." in message
        assert "(here 3.99.0): its outcomes may differ from this machine's." in message


def test_a_worker_without_the_program_is_told(on, monkeypatch, tmp_path):
    (tmp_path / "only_here.py").write_text("def versions(): return {'leaksweep': '0'}")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    monkeypatch.setattr(cluster, "versions", only_here.versions)
    with pytest.raises(ClusterError, match=r"cannot run trials: .*ModuleNotFoundError"):
        list(on(run_trial=hold).run([planned(0)]))


@pytest.mark.slow
def test_a_cluster_without_workers_is_waited_for_and_said(tmp_path):
    empty, told, late = Cluster(tmp_path), [], []

    def tell(message):
        told.append(message)
        late.append(empty.add_worker())

    try:
        runner = Runner(1, Backend.DASK, run_trial=hold, scheduler=empty.address, tell=tell)
        assert seeds(runner.run(map(planned, range(5)))) == list(range(5))
        assert told == ["The cluster has no workers; waiting for some."]
    finally:
        empty.close()


@pytest.mark.slow
def test_a_scheduler_lost_on_the_way_is_told_within_seconds(tmp_path):
    lost = Cluster(tmp_path)
    lost.add_worker()
    runner = Runner(1, Backend.DASK, run_trial=partial(hold_after, 0.05), scheduler=lost.address)
    try:
        outcomes = runner.run(map(planned, range(10_000)))
        next(outcomes)
        lost.scheduler.kill()
        died = time.monotonic()
        with pytest.raises(ClusterError, match="connection to the Dask scheduler was lost"):
            list(outcomes)
        assert time.monotonic() - died < 60
    finally:
        lost.close()


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "nonsense://somewhere", "tcp://no.such.host.invalid:8786"]
)
def test_a_scheduler_that_is_not_there_is_told_within_seconds(monkeypatch, address):
    monkeypatch.setattr(cluster, "CONNECTS_WITHIN_S", 0.5)
    started = time.monotonic()
    with pytest.raises(ClusterError, match=f"No Dask scheduler answers at {address} within 0.5 s"):
        Runner(1, Backend.DASK, scheduler=address).check()
    assert time.monotonic() - started < 15


def test_a_scheduler_that_is_there_passes_the_check(on):
    on().check()


def test_dask_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MisuseError, match=r"pip install 'leaksweep\[cluster\]'"):
        Runner(1, Backend.DASK).check()


def test_a_scheduler_of_no_cluster_is_refused():
    with pytest.raises(MisuseError, match="tcp://here:1 is for --backend dask; the backend is pr"):
        Runner(1, scheduler="tcp://here:1")


@pytest.mark.slow
def test_a_local_cluster_ends_with_its_run():
    outcomes = Runner(2, Backend.DASK, run_trial=hold).run(map(planned, range(50)))
    family = {psutil.Process(int(outcome.error)) for outcome in [next(outcomes)]}
    family |= {parent for each in family for parent in each.parents()[:2]}
    assert len(list(outcomes)) == 49
    assert wait_until(lambda: not [each for each in family if each.is_running()], 30)


@pytest.mark.parametrize(
    ("trials", "seconds", "size"),
    [(1, 10.0, 1), (1, 0.001, 2), (1, 0.0, 2)],
    ids=["long trials", "short trials", "no time at all"],
)
def test_batches_begin_with_one_trial_and_double_while_they_are_short(trials, seconds, size):
    batch = BatchSize()
    batch.learn(trials, seconds)
    assert batch.size == size


@pytest.mark.parametrize(("trial_s", "size"), [(0.015, 20), (0.3, 1), (1e-6, LARGEST_BATCH)])
def test_batches_come_to_take_a_third_of_a_second(trial_s, size):
    batch = BatchSize()
    for _ in range(12):
        batch.learn(batch.size, batch.size * trial_s)
    assert batch.size == size
    assert size * trial_s <= BATCH_S


def test_the_command_line_names_the_scheduler(leaksweep, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECTS_WITHIN_S", 0.5)
    database = tmp_path / "new.db"
    options = ("--backend", "dask", "--scheduler", "tcp://127.0.0.1:9")
    ended = leaksweep("run", *options, "--db", f"sqlite:///{database}")
    assert ended.code == 2
    assert ended.err.startswith("No Dask scheduler answers at tcp://127.0.0.1:9")
    assert not Path(database).exists()


def test_jobs_of_a_cluster_that_is_there_are_refused(leaksweep):
    options = ("--backend", "dask", "--scheduler", "tcp://127.0.0.1:9", "--jobs", 2)
    ended = leaksweep("run", *options)
    assert ended.code == 2
    assert "the cluster's own workers say it" in ended.err
