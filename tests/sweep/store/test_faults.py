"""Real processes that write at once, and that are killed."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from sweep.errors import DatabaseError
from sweep.store.store import Store
from sweep.values.words import Verdict


def start(script, url, first_seed, trials):
    command = [sys.executable, str(script), url, "mine", str(first_seed), str(trials)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_on_one_sweep_lose_nothing_and_double_nothing(database_url, writing_process):
    processes = [start(writing_process, database_url, first, 400) for first in (0, 200)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with Store.open(database_url) as store:
        assert store.tally(store.sweep("mine").id) == {Verdict.LEAKS: 600}


def kill_while_writing(script, url, commits):
    """Starts a writer and kills it after so many commits; how many trials it reported."""
    process = start(script, url, 0, 100_000)
    reported = [process.stdout.readline() for _ in range(commits)]
    os.kill(process.pid, signal.SIGKILL)
    rest = process.communicate(timeout=60)[0].splitlines()
    return int([*reported, *rest][-1])


def check_killed(script, url, make, commits):
    reported = kill_while_writing(script, url, commits)
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    (kept,) = connection.execute("SELECT count(*) FROM trial").fetchone()
    connection.close()
    assert kept % 10 == 0
    assert kept >= reported
    with Store.open(url) as store:
        sweep = store.sweep("mine")
        missing = list(store.missing(sweep.id, [make.planned(seed) for seed in range(kept + 10)]))
        store.write(sweep.id, [make.outcome(trial.setting.seed) for trial in missing])
        assert len(missing) == 10
        assert store.tally(sweep.id) == {Verdict.LEAKS: kept + 10}


def test_kill_9_keeps_every_committed_row(sqlite_url, writing_process, make):
    check_killed(writing_process, sqlite_url, make, commits=20)


@pytest.mark.slow
def test_kill_9_at_random_moments_keeps_every_committed_row(tmp_path, writing_process, make):
    moments = random.Random(0)
    for number in range(20):
        url = f"sqlite:///{tmp_path}/{number}.db"
        check_killed(writing_process, url, make, commits=moments.randint(1, 60))


def test_processes_that_create_one_database_at_once_all_succeed(database_url, writing_process):
    processes = [start(writing_process, database_url, first, 10) for first in (0, 10, 20)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with Store.open(database_url) as store:
        assert store.tally(store.sweep("mine").id) == {Verdict.LEAKS: 30}


@pytest.fixture
def locked(sqlite_url):
    """A connection that holds the lock of a database which is not in WAL mode yet."""
    Store.open(sqlite_url).close()
    path = sqlite_url.removeprefix("sqlite:///")
    opened = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with closing(opened) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_a_lock_on_a_new_database_is_waited_for(sqlite_url, locked):
    releasing = threading.Timer(0.5, locked.execute, ["COMMIT"])
    releasing.start()
    with Store.open(sqlite_url, busy_timeout_s=30) as store:
        assert store.sweep("mine") is None
    releasing.join()


def test_a_lock_on_a_new_database_that_stays_is_one_message(sqlite_url, locked):
    with pytest.raises(DatabaseError, match="it stayed locked by another program"):
        Store.open(sqlite_url, busy_timeout_s=0.1)
