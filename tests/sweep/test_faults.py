"""Real processes, killed and interrupted: nothing recorded is lost, nothing is doubled."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import psutil
import pytest

SPEC = """
workload = "small"
steps = 600

[[grid]]
optimizer = ["SGD"]
momentum = [0.0, 0.9]
weight_decay = [0.0, 0.1]
zero_grad = ["zero"]
seed = {seeds}
"""
MIXED_SPEC = "".join(
    f"""
[[grid]]
optimizer = ["faulty:Naps"]
zero_grad = ["none"]
lr = [{nap}]
seed = {list(range(first, first + trials))}
"""
    for nap, first, trials in [
        (0.001, 0, 200),
        (0.5, 0, 6),
        (0.001, 200, 60),
        (1.5, 0, 2),
        (0.001, 300, 60),
        (0.3, 0, 4),
    ]
).replace("[[grid]]", 'workload = "small"\nsteps = 2\n[[grid]]', 1)
HANGING_SPEC = """
workload = "small"
steps = 40

[[grid]]
optimizer = ["faulty:Hangs"]
lr = {rates}
"""
FAULTY_SPEC = """
workload = "small"
steps = 40

[[grid]]
optimizer = {optimizers}
zero_grad = ["zero"]
"""
# Ends as if a person had interrupted it while a finalizer ran, which can raise nothing.
INTERRUPTED_IN_A_FINALIZER = """
import os, signal, time
from sweep.cli.app import app, main


class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.{})
        time.sleep(60)  # which the handler cuts short


@app.command()
def waits():
    Finalized()
    time.sleep(60)


main()
"""
DIED = "WorkerDiedError: the process that ran it ended with {}: memory ran out, or native code"
FAULTS = {
    "SGD": None,
    "faulty:RaisesAtStep37": "ArithmeticError: no eighth step",
    "faulty:Exits": "SystemExit: good-bye",
    "faulty:Interrupts": "KeyboardInterrupt: not by a person",
    "faulty:KillsItsProcess": DIED.format("SIGKILL"),
    "faulty:Prints": None,
    "faulty:Asks": "EOFError: EOF when reading a line",
    "faulty:NansInParameters": None,
    "faulty:InfinityInParameters": None,
    "faulty:NansInGrads": None,
    "faulty:InfinityInGrads": None,
}
OVER_LIMITS = {
    "SGD": None,
    "faulty:Aborts": DIED.format("SIGABRT"),
    "faulty:Hangs": "TrialTimeoutError: took longer than 4 s (--trial-timeout)",
    "faulty:EatsMemory": "TrialMemoryError: took more than 400 MiB (--trial-memory): ",
}


@pytest.fixture
def spec(tmp_path):
    """A spec of 200 quick trials."""
    path = tmp_path / "mine.toml"
    path.write_text(SPEC.format(seeds=list(range(50))))
    return path


@pytest.fixture
def start_hanging(start_leaksweep, tmp_path, database):
    """Starts a sweep of trials that never end; returns it when as many as it may run do."""
    spec = tmp_path / "hanging.toml"
    spec.write_text(HANGING_SPEC.format(rates=[rate / 10 for rate in range(1, 10)]))

    def start(jobs, *options):
        command = ("run", spec, "--db", f"sqlite:///{database}", "--jobs", jobs)
        process = start_leaksweep(*command, *options)
        hanging = 0
        while hanging < jobs and (line := process.stderr.readline()):
            hanging += "hangs for ever" in line
        assert hanging == jobs
        return process

    return start


@pytest.fixture
def command(tmp_path, spec):
    return ("run", spec, "--db", f"sqlite:///{tmp_path}/sweep.db")


@pytest.fixture
def database(tmp_path):
    return tmp_path / "sweep.db"


def recorded(database):
    """How many trials are recorded; 0 while there is no database or table yet."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM trial").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def rows(database, query):
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def wait_until(holds, timeout_s):
    deadline = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def stretched(seconds):
    """``seconds`` on a machine where nothing else runs, and longer where much does."""
    return seconds * (1.0 + os.getloadavg()[0])


def alive(processes):
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def check_whole(database, trials=200):
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]
    assert rows(database, "PRAGMA foreign_key_check") == []
    counted = "SELECT count(*), count(DISTINCT fingerprint), count(DISTINCT id) FROM trial"
    assert rows(database, counted) == [(trials, trials, trials)]
    assert rows(database, "SELECT count(*) FROM trial WHERE verdict = 'failed'") == [(0,)]
    settings = "SELECT DISTINCT momentum, weight_decay, seed FROM trial"
    assert len(rows(database, settings)) == trials


def kill_at_random_moments(start_leaksweep, command, database, rounds, moments):
    """Starts the command and kills its driver, so many times; it gets further now and then."""
    kept = 0
    for _ in range(rounds):
        process = start_leaksweep(*command)
        if moments.random() < 0.7:  # while it writes, else while it starts
            wait_until(lambda: recorded(database) > kept or process.poll() is not None, 60)  # noqa: B023
        time.sleep(moments.uniform(0.0, 0.6))
        process.kill()
        process.communicate()
        assert recorded(database) >= kept
        kept = recorded(database)


def longest_wait(process, database):
    """Seconds from the end of a trial to when another program can read it, at most."""
    seen, longest = 0, 0.0
    while process.poll() is None:
        if recorded(database) > seen:
            now = datetime.now(UTC)
            new = rows(database, f"SELECT id, finished_at FROM trial WHERE id > {seen}")
            ended = [datetime.fromisoformat(at).replace(tzinfo=UTC) for _, at in new]
            longest = max(longest, *((now - at).total_seconds() for at in ended))
            seen += len(new)
        time.sleep(0.02)
    return longest


@pytest.mark.slow
def test_an_outcome_is_recorded_within_a_second_among_short_trials_and_long_ones(
    start_leaksweep, tmp_path, database
):
    spec = tmp_path / "mixed.toml"
    spec.write_text(MIXED_SPEC)
    process = start_leaksweep("run", spec, "--db", f"sqlite:///{database}", "--jobs", 2)
    assert longest_wait(process, database) < stretched(1.0)
    assert (process.returncode, recorded(database)) == (0, 332)


@pytest.mark.slow
def test_kill_9_at_random_moments_loses_and_doubles_nothing(
    start_leaksweep, leaksweep_process, command, database
):
    kill_at_random_moments(start_leaksweep, command, database, 2, random.Random(0))
    ended = leaksweep_process(*command)
    assert (ended.code, "Traceback" in ended.err) == (0, False)
    check_whole(database)


@pytest.mark.slow
def test_kill_9_of_a_worker_costs_no_trial(start_leaksweep, command, database):
    process = start_leaksweep(*command)
    assert wait_until(lambda: recorded(database) > 0, 60)
    (server,) = psutil.Process(process.pid).children()
    server.children()[0].kill()
    _, err = process.communicate(timeout=120)
    assert (process.returncode, "Traceback" in err) == (0, False)
    check_whole(database)


@pytest.mark.slow
def test_an_interruption_stops_within_two_seconds_and_keeps_what_is_finished(
    start_leaksweep, leaksweep_process, command, database
):
    process = start_leaksweep(*command)
    assert wait_until(lambda: recorded(database) > 0, 60)
    family = psutil.Process(process.pid).children(recursive=True)
    before = recorded(database)
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - started < stretched(2.0)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1].startswith("Interrupted. What was finished is recorded")
    assert "Traceback" not in err
    assert wait_until(lambda: not alive(family), stretched(2.0))
    assert recorded(database) >= before
    assert leaksweep_process(*command).code == 0
    check_whole(database)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interruption_that_python_drops_comes_again(name):
    program = INTERRUPTED_IN_A_FINALIZER.format(name)
    command = [sys.executable, "-c", program, "waits"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 130
    assert ended.stderr.splitlines() == ["Interrupted."]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("jobs", "backend", "number", "within_s"),
    [
        pytest.param(1, "processes", signal.SIGINT, 2.0, id="one"),
        pytest.param(2, "processes", signal.SIGTERM, 2.0, id="two"),
        pytest.param(2, "dask", signal.SIGINT, 5.0, id="a local cluster"),
    ],
)
def test_an_interruption_does_not_wait_for_long_trials(
    start_hanging, jobs, backend, number, within_s
):
    process = start_hanging(jobs, "--backend", backend)
    family = psutil.Process(process.pid).children(recursive=True)
    started = time.monotonic()
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - started < stretched(within_s)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1] == "Interrupted."
    assert wait_until(lambda: not alive(family), stretched(2.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("jobs", "backend"),
    [(1, "processes"), (2, "processes"), (2, "dask")],
    ids=["one", "two", "a local cluster"],
)
def test_workers_end_soon_after_a_driver_that_was_killed(start_hanging, jobs, backend):
    process = start_hanging(jobs, "--backend", backend)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert wait_until(lambda: not alive(family), stretched(5.0))
    assert process.stderr.read() == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "options"),
    [
        pytest.param(FAULTS, [], id="without limits"),
        pytest.param(OVER_LIMITS, ["--trial-timeout", 4, "--trial-memory", 400], id="limits"),
    ],
)
def test_trials_that_go_wrong_have_failed_for_their_reason_and_harm_no_other(
    leaksweep_process, tmp_path, database, faults, options
):
    spec = tmp_path / "faulty.toml"
    spec.write_text(FAULTY_SPEC.format(optimizers=list(faults)))
    command = ("run", spec, "--db", f"sqlite:///{database}", "--jobs", 2, *options)
    ended = leaksweep_process(*command)
    assert (ended.code, "Traceback" in ended.err) == (1, False)
    assert "x" * 1000 not in ended.out
    found = rows(database, "SELECT optimizer, error FROM trial ORDER BY id")
    assert sorted(name for name, _ in found) == sorted(faults)
    wrong = {name: error for name, error in found if not _as_expected(error, faults[name])}
    assert wrong == {}
    diverged = {name for (name,) in rows(database, "SELECT optimizer FROM trial WHERE diverged")}
    assert diverged == {name for name in faults if "Nan" in name or "Infinity" in name}


def _as_expected(error, expected):
    return error is None if expected is None else (error or "").startswith(expected)
