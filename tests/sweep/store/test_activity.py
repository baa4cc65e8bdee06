"""Who runs a sweep, exactly as long as a process holds it, and how fast it goes."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sweep.errors import DatabaseError, MisuseError
from sweep.store.activity import Activity, activity, is_running
from sweep.store.store import Store
from sweep.store.url import parse_url

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_the_pace_is_that_of_the_last_minutes(database_url, make):
    with Store.open(database_url) as store:
        sweep = store.record_sweep("mine", "{}", 20)
        assert activity(database_url, sweep.id) == Activity(False, None, None)
        long_ago = make.outcome(99, finished_at=NOON - timedelta(hours=3))
        late = [make.outcome(n, finished_at=NOON + timedelta(seconds=2 * n)) for n in range(11)]
        store.write(sweep.id, [long_ago])
        store.write(sweep.id, late)
        with store.running(sweep.id):
            seen = activity(database_url, sweep.id)
    assert seen == Activity(True, NOON + timedelta(seconds=20), 0.5)


def test_a_time_that_is_none_is_one_message(sqlite_url, make):
    with Store.open(sqlite_url) as store:
        sweep = store.record_sweep("mine", "{}", 1)
        store.write(sweep.id, [make.outcome(0)])
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE trial SET finished_at = x'00'")
        connection.commit()
    with pytest.raises(DatabaseError, match=r"does not write: trial\.finished_at is b'\\x00'"):
        activity(sqlite_url, sweep.id)


def test_asking_imports_nothing_that_is_slow():
    code = (
        "import sys; from sweep.store.activity import activity\n"
        "print({'torch', 'pandas', 'alembic', 'sqlalchemy', 'psycopg', 'numpy'} & {*sys.modules})"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "set()\n"


HOLDING = """
import sys, time
from sweep.store.store import Store
with Store.open(sys.argv[1]) as store:
    with store.running(int(sys.argv[2])):
        print("held", flush=True)
        time.sleep(600)
"""


@pytest.fixture
def held(database_url):
    """A database, a sweep in it, and a process that runs it."""
    with Store.open(database_url) as store:
        sweep = store.record_sweep("mine", "{}", 1)
    command = [sys.executable, "-c", HOLDING, database_url, str(sweep.id)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield database_url, sweep, process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_sweep_is_run_while_a_process_runs_it_even_if_that_is_killed(held):
    url, sweep, process = held
    assert is_running(parse_url(url), sweep.id)
    assert not is_running(parse_url(url), sweep.id + 1)
    process.kill()
    process.wait()
    deadline_s = 10  # for a server to notice that its client has gone
    for _ in range(deadline_s * 10):
        if not is_running(parse_url(url), sweep.id):
            return
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.1)"], check=True)
    pytest.fail("nobody runs it any more")


def test_two_may_run_it_and_it_is_run_until_both_have_ended(held):
    url, sweep, _ = held
    with Store.open(url) as store:
        with store.running(sweep.id):
            assert is_running(parse_url(url), sweep.id)
        assert is_running(parse_url(url), sweep.id)
        with pytest.raises(MisuseError, match=r"Somebody is running the sweep 'mine' in"):
            store.check_nobody_runs(sweep)


def test_in_one_process_it_ends_with_its_body_and_leaves_no_file(sqlite_url):
    with Store.open(sqlite_url) as store:
        sweep = store.record_sweep("mine", "{}", 1)
        with store.running(sweep.id), store.running(sweep.id):
            assert is_running(parse_url(sqlite_url), sweep.id)
        assert not is_running(parse_url(sqlite_url), sweep.id)
    assert [path.name for path in Path(parse_url(sqlite_url).path).parent.iterdir()] == ["sweep.db"]


def test_where_no_file_can_be_made_a_sweep_runs_all_the_same(sqlite_url, monkeypatch):
    with Store.open(sqlite_url) as store:
        sweep = store.record_sweep("mine", "{}", 1)
        monkeypatch.setattr("sweep.store.activity._lock_of", lambda *_: Path("/proc/none/x"))
        with store.running(sweep.id):
            assert not is_running(parse_url(sqlite_url), sweep.id)


def test_where_the_system_has_no_such_locks_nobody_can_tell(sqlite_url, monkeypatch):
    monkeypatch.setattr("sweep.store.activity.fcntl", None)
    with Store.open(sqlite_url) as store:
        sweep = store.record_sweep("mine", "{}", 1)
        with store.running(sweep.id):
            assert is_running(parse_url(sqlite_url), sweep.id) is None
        store.check_nobody_runs(sweep)
