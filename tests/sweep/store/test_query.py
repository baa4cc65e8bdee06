import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sweep.errors import DatabaseError, NotThereError
from sweep.store.query import run_query, sweep_status
from sweep.store.store import Store


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/x.db"


@pytest.fixture
def two_sweeps(url):
    with Store.open(url) as store:
        store.record_sweep("article", "{}", 10)
        store.record_sweep("remedies", "{}", 0)
    return url


def test_a_sweep_without_trials_has_them_all_remaining(two_sweeps):
    first, second = sweep_status(two_sweeps)
    assert (first.name, first.planned, first.done, first.remaining) == ("article", 10, 0, 10)
    assert (second.name, second.remaining) == ("remedies", 0)
    assert abs((datetime.now(UTC) - first.created_at).total_seconds()) < 60


def test_one_sweep_is_found_by_its_name(two_sweeps):
    assert [status.name for status in sweep_status(two_sweeps, "remedies")] == ["remedies"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("artcle", "There is no sweep 'artcle'. Did you mean 'article'?"),
        ("zzz", "There is no sweep 'zzz'. Sweeps in this database: 'article', 'remedies'."),
    ],
)
def test_a_name_that_no_sweep_has_is_answered_with_those_there_are(two_sweeps, name, message):
    with pytest.raises(NotThereError) as caught:
        sweep_status(two_sweeps, name)
    assert str(caught.value) == message


def test_a_database_without_sweeps_says_how_to_make_one(url):
    Store.open(url).close()
    assert sweep_status(url) == []
    with pytest.raises(NotThereError, match="none yet; `leaksweep run` makes one"):
        sweep_status(url, "mine")


def test_reading_imports_nothing_that_is_slow(two_sweeps):
    code = (
        "import sys\n"
        "from sweep.store.query import sweep_status\n"
        f"sweep_status({two_sweeps!r})\n"
        "print({'torch', 'pandas', 'alembic', 'sqlalchemy', 'psycopg', 'numpy'} & {*sys.modules})"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "set()\n"


def test_a_query_reads(two_sweeps):
    with run_query(two_sweeps, "SELECT name FROM sweep ORDER BY name") as result:
        assert (result.columns, list(result)) == (("name",), [("article",), ("remedies",)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("planned = 1e999", r"sweep\.planned is inf"),
        ("planned = x'00'", r"sweep\.planned is b'\\x00'"),
        ("created_at = 5", r"sweep\.created_at is 5"),
        ("created_at = x'00'", r"sweep\.created_at is b"),
        ("name = x'00'", r"sweep\.name is b"),
    ],
)
def test_a_status_of_what_this_program_does_not_write_is_one_message(url, change, message):
    with Store.open(url) as store:
        store.record_sweep("mine", "{}", 1)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute(f"UPDATE sweep SET {change}")
        connection.commit()
    with pytest.raises(DatabaseError, match=f"does not write: {message}"):
        sweep_status(url)
