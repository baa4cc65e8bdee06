"""How fast a sweep goes, who runs it, and when it last went on; on either kind of database."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from sweep.errors import DatabaseError
from sweep.store.activity import Activity, activity
from sweep.store.store import Store

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
