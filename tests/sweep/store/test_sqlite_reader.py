"""What `leaksweep sql` may and may not do to a SQLite file."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from sweep.errors import DatabaseError, NotThereError, QueryRefusedError
from sweep.store.query import run_query
from sweep.store.store import Store

ENDLESS = "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT {} FROM a"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, make):
    """The path of a database with 5000 trials, to be copied."""
    return make.recorded(tmp_path_factory.mktemp("recorded") / "x.db", 5000)


@pytest.fixture
def filled(sqlite_url, recorded):
    """The URL of a database of the test's own, with 5000 trials."""
    path_of(sqlite_url).parent.mkdir()
    shutil.copy(recorded, path_of(sqlite_url))
    return sqlite_url


def path_of(url):
    return Path(url.removeprefix("sqlite:///"))


def test_columns_and_rows_come_back(filled):
    with run_query(filled, "SELECT seed, optimizer AS name FROM trial ORDER BY seed") as result:
        assert result.columns == ("seed", "name")
        assert list(result) == [(seed, "SGD") for seed in range(5000)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT value FROM json_each('[1, 2]')",
        "SELECT name FROM pragma_table_info('trial')",
        "PRAGMA table_info(trial)",
        "PRAGMA journal_mode",
        "EXPLAIN QUERY PLAN SELECT * FROM leak_rate_by_setting",
        "WITH a AS (SELECT * FROM trial) SELECT count(*) FROM a; -- with a comment",
        "VALUES (1)",
    ],
)
def test_what_only_reads_is_answered(filled, sql):
    with run_query(filled, sql) as result:
        assert list(result)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM trial",
        "UPDATE trial SET verdict = 'holds'",
        "INSERT INTO sweep (name, spec, planned, created_at) VALUES ('x', '{}', 1, '2026-01-01')",
        "INSERT INTO sweep SELECT * FROM sweep RETURNING id",
        "UPDATE sqlite_master SET sql = ''",
        "WITH a AS (SELECT 1) DELETE FROM trial",
        "DROP TABLE trial",
        "DROP VIEW leak",
        "ALTER TABLE trial ADD COLUMN x",
        "CREATE TABLE x (a)",
        "CREATE TEMP TABLE x (a)",
        "CREATE TEMP VIEW x AS SELECT 1",
        "CREATE TEMP TRIGGER x AFTER DELETE ON trial BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE x USING fts5(a)",
        "ATTACH 'other.db' AS other",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "REINDEX",
        "ANALYZE",
        "BEGIN IMMEDIATE",
        "SAVEPOINT a",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = 1",
        "PRAGMA user_version = 7",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA optimize",
        "PRAGMA temp_store_directory = '/'",
        "SELECT * FROM pragma_user_version(7)",
        "SELECT load_extension('x')",
        "EXPLAIN DELETE FROM trial",
        "SELECT 1; DELETE FROM trial",
        "SELECT 1; SELECT 2",
        "",
        "-- nothing",
        "SELEC 1",
        "SELECT nothing FROM trial",
        "SELECT ?",
        "SELECT '\0'",
        "SELECT '\ud800'",
        "SELECT abs(-9223372036854775808)",
    ],
)
def test_what_would_write_or_is_no_query_is_refused_and_changes_nothing(
    filled, sql, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = path_of(filled).read_bytes()
    with pytest.raises(QueryRefusedError, match=r"^The database refused the query: .+"):
        run_query(filled, sql)
    assert path_of(filled).read_bytes() == before
    # A reader may not remove the index and the empty log that SQLite makes for it.
    files = {path.name: path.stat().st_size for path in tmp_path.rglob("*.*")}
    assert set(files) <= {"sweep.db", "sweep.db-wal", "sweep.db-shm"}
    assert files.get("sweep.db-wal", 0) == 0


@pytest.mark.parametrize("selected", ["count(*)", "x"])
def test_an_endless_query_is_stopped_at_its_timeout(filled, selected):
    with pytest.raises(QueryRefusedError, match=r"stopped: it ran for more than 0.2 seconds"):
        for _ in run_query(filled, ENDLESS.format(selected), timeout_s=0.2):
            pass


def test_text_that_is_not_utf_8_is_shown_as_far_as_it_can_be(filled):
    with run_query(filled, "SELECT CAST(x'61ff62' AS TEXT)") as result:
        assert list(result) == [("a\ufffdb",)]


def test_an_error_half_way_is_refused_in_the_databases_words(filled):
    sql = "SELECT CASE WHEN seed > 4000 THEN abs(-9223372036854775808) END FROM trial"
    with run_query(filled, sql) as result, pytest.raises(QueryRefusedError, match="overflow"):
        list(result)


def test_a_database_that_is_not_there_is_not_created(tmp_path):
    with pytest.raises(NotThereError, match=r"There is no database at .*`leaksweep run` makes one"):
        run_query(f"sqlite:///{tmp_path}/x.db", "SELECT 1")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_holds_no_sweep(tmp_path):
    (tmp_path / "x.db").touch()
    with pytest.raises(NotThereError, match="holds no sweep yet"):
        run_query(f"sqlite:///{tmp_path}/x.db", "SELECT 1")


def test_a_folder_is_no_database(tmp_path):
    with pytest.raises(DatabaseError, match="is a folder; name a file in it"):
        run_query(f"sqlite:///{tmp_path}", "SELECT 1")


def test_names_that_mean_something_in_a_uri_are_files_like_any_other(filled, tmp_path):
    odd = tmp_path / "a #%41&mode=rwc.db"
    shutil.copy(path_of(filled), odd)
    for names_it in (odd, f"sqlite:///{quote(str(odd))}"):
        with run_query(names_it, "SELECT count(*) FROM trial") as result:
            assert list(result) == [(5000,)]


def test_rows_are_read_while_another_process_writes(filled, make):
    with Store.open(filled) as store:
        sweep = store.sweep("mine")
        with run_query(filled, "SELECT seed FROM trial") as result:
            next(iter(result))
            store.write(sweep.id, [make.outcome(9999)])
            assert sum(1 for _ in result) == 4999


READING = """
import os, sys
from sweep.store.query import run_query
os.setgid(65534); os.setuid(65534)
with run_query(sys.argv[1], "SELECT count(*) FROM trial") as result:
    print(list(result))
"""


@pytest.fixture
def unwritable(filled):
    """The URL of a copy whose folder an ordinary user cannot write to, and how to read it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become a user who cannot write here")
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    shutil.copy(path_of(filled), folder / "x.db")
    folder.chmod(0o555)
    (folder / "x.db").chmod(0o444)
    yield f"sqlite:///{folder}/x.db"
    folder.chmod(0o755)
    shutil.rmtree(folder)


def read_as_nobody(url):
    command = [sys.executable, "-c", READING, url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_folder_that_cannot_be_written_to_can_be_read(unwritable):
    answer = read_as_nobody(unwritable)
    assert answer.stdout == "[(5000,)]\n", answer.stderr


def test_a_log_that_belongs_to_such_a_database_is_never_left_out(unwritable):
    path = path_of(unwritable)
    writer = sqlite3.connect(path)
    writer.execute("UPDATE sweep SET planned = 1")
    writer.commit()
    path.with_name("x.db-shm").chmod(0o000)
    answer = read_as_nobody(unwritable)
    writer.close()
    assert "DatabaseError: Cannot read sqlite:" in answer.stderr


SLOW = f"SELECT replace(hex(zeroblob(8000000)), '00', 'a') LIKE '%{'a' * 900}b'"
"""One instruction of SQLite's that takes many seconds, in which it asks nobody."""


def test_a_single_instruction_that_takes_for_ever_is_left_at_its_timeout(filled):
    started = time.monotonic()
    with pytest.raises(QueryRefusedError, match=r"stopped: it ran for more than 0.2 seconds"):
        run_query(filled, SLOW, timeout_s=0.2)
    assert time.monotonic() - started < 5


INTERRUPTED = """
import os, signal, sys, threading, time
from sweep.store.query import run_query
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    list(run_query(sys.argv[1], sys.argv[2]))
except KeyboardInterrupt:
    print("heard")
"""


@pytest.mark.parametrize("sql", [SLOW, ENDLESS.format("count(*)"), ENDLESS.format("x")])
def test_an_interruption_is_heard_whatever_sqlite_is_at(filled, sql):
    command = [sys.executable, "-c", INTERRUPTED, filled, sql]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "heard\n"), ended.stderr


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT zeroblob(900000000)", "too big"),
        (f"SELECT 'a' LIKE '{'%' * 2000}'", "too complex"),
        (f"SELECT {', '.join('1' * 300)}", "too many columns"),
    ],
)
def test_sizes_are_bounded(filled, sql, words):
    with pytest.raises(QueryRefusedError, match=words):
        list(run_query(filled, sql))


def test_many_large_values_are_not_held_at_once(filled):
    tracemalloc.start()
    with run_query(filled, "SELECT zeroblob(10000000) FROM trial LIMIT 100") as result:
        assert sum(len(value) for (value,) in result) == 10**9
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20


def test_a_pipe_is_no_database(tmp_path):
    os.mkfifo(tmp_path / "x.db")
    for reads_or_writes in (Store.open, lambda url: run_query(url, "SELECT 1")):
        with pytest.raises(DatabaseError, match="is no file but a pipe"):
            reads_or_writes(f"sqlite:///{tmp_path}/x.db")


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE VIEW step AS {ENDLESS.format('x AS trial_id')}",
        "CREATE VIRTUAL TABLE step USING fts5(trial_id)",
        "CREATE TABLE step (trial_id, step AS (hex(zeroblob(trial_id))))",
    ],
)
def test_what_could_run_for_ever_in_the_place_of_a_table_is_refused(filled, statement):
    with closing(sqlite3.connect(path_of(filled))) as connection:
        connection.execute("DROP TABLE step")
        connection.execute(statement)
        connection.commit()
    before = path_of(filled).read_bytes()
    for reads_or_writes in (Store.open, lambda url: run_query(url, "SELECT 1")):
        with pytest.raises(DatabaseError, match=r"step is no plain table\. Restore a copy"):
            reads_or_writes(filled)
    assert path_of(filled).read_bytes() == before
