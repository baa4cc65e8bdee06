import csv
import io
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sweep.store.store import Store


def trials(database):
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT * FROM trial").fetchall()


def test_status_counts_each_sweep_and_says_how_it_goes(leaksweep, url):
    ended = leaksweep("status", "--format", "csv")
    assert ended.code == 0
    held, failing = csv.DictReader(io.StringIO(ended.out))
    counts = ("sweep", "planned", "done", "failed", "remaining", "leaks", "holds", "inert")
    assert [held[name] for name in counts] == ["held", "8", "8", "0", "0", "2", "6", "0"]
    assert [failing[name] for name in counts] == [
        "with failures",
        "8",
        "4",
        "4",
        "0",
        "1",
        "3",
        "0",
    ]
    assert (held["running"], held["seconds_left"]) == ("no", "")
    assert float(held["trials_a_second"]) > 0
    today = f"{datetime.now(UTC):%Y-%m}"
    assert held["begun"].startswith(today)
    assert held["last_finished"].startswith(today)


def test_status_tells_that_somebody_is_running_it_and_what_is_left(leaksweep, url, database):
    with Store.open(url) as store, store.running(store.sweep("held").id):
        (row,) = csv.DictReader(io.StringIO(leaksweep("status", "held", "--format", "csv").out))
        assert row["running"] == "yes"
    (row,) = csv.DictReader(io.StringIO(leaksweep("status", "held", "--format", "csv").out))
    assert row["running"] == "no"


def test_status_of_one_sweep(leaksweep, url):
    ended = leaksweep("status", "held")
    assert ended.code == 0
    assert "with failures" not in ended.out
    assert "held" in ended.out


def test_sql_prints_what_the_query_reads(leaksweep, url):
    query = "SELECT DISTINCT optimizer FROM trial ORDER BY 1"
    ended = leaksweep("sql", query, "--format", "csv")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == ["optimizer", "Adam", "SGD", "faulty:RaisesAtStep7"]


def test_db_goes_before_the_environment(leaksweep, url, tmp_path):
    ended = leaksweep("sql", "SELECT 1", "--db", f"sqlite:///{tmp_path}/none.db")
    assert ended.code == 1
    assert "none.db" in ended.err


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM trial",
        "DELETE FROM trial RETURNING id",
        "DROP TABLE trial",
        "UPDATE trial SET lr = 0",
        "SELECT 1; DELETE FROM trial",
        "PRAGMA writable_schema = 1",
        "ATTACH 'other.db' AS other",
        "VACUUM",
        "",
    ],
)
def test_a_query_that_would_write_is_refused_and_changes_nothing(
    leaksweep, url, database, query, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    before = trials(database)
    ended = leaksweep("sql", query)
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 1
    assert trials(database) == before
    assert not (tmp_path / "other.db").exists()


REFUSALS = [
    (("sql", "SELECT * FROM trail"), 2, "no such table: trail"),
    (("sql", "SELEKT"), 2, "syntax error"),
    (("sql",), 2, "Missing argument 'QUERY'"),
    (
        ("sql", "SELECT", "1", "FROM", "trial"),
        2,
        "The query came in 4 words (SELECT 1 FROM trial). In quotes it is one: leaksweep sql "
        '"SELECT count(*) FROM trial"',
    ),
    (("sql", "SELECT", *["x.py"] * 99), 2, "came in 100 words (SELECT x.py x.py"),
    (("sql", "SELECT 1", "--format", "xml"), 2, "Invalid value for '--format'"),
    (("sql", "SELECT 1", "--timeout", "-1"), 2, "Invalid value for '--timeout'"),
    (("status", "hled"), 1, "There is no sweep 'hled'. Did you mean 'held'?"),
    (("export", "hled"), 1, "There is no sweep named 'hled'"),
    (("export", "--format", "cvs"), 2, "Did you mean csv?"),
    (("export", "--format", ""), 2, "format"),
    (("show", "presets", "ful"), 2, "Did you mean full?"),
    (
        ("show", "nothing"),
        2,
        "No such command 'nothing'. Valid: optimizers, presets, axes, schema.",
    ),
    (("sweep", "mege"), 2, "Did you mean merge? Valid: list, rename, delete, merge."),
    (("nothing",), 2, "No such command 'nothing'. Valid: run, search, edge, status, sql, table"),
]


@pytest.mark.parametrize(
    ("words", "code", "message"), REFUSALS, ids=[" ".join(w) for w, *_ in REFUSALS]
)
def test_what_cannot_be_answered_is_one_message_and_an_exit_code(
    leaksweep, url, tmp_path, words, code, message
):
    out = ("--out", tmp_path / "out") if words[0] == "export" else ()
    ended = leaksweep(*words, *out)
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["status", "sql", "export"])
def test_a_missing_database_is_not_there_and_is_not_made(leaksweep, tmp_path, command):
    words = {"status": (), "sql": ("SELECT 1",), "export": ("--out", tmp_path / "out")}[command]
    ended = leaksweep(command, *words, "--db", f"sqlite:///{tmp_path}/none.db")
    assert (ended.code, ended.out) == (1, "")
    assert "none.db" in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["status", "sql", "export"])
def test_a_file_that_is_no_database_is_misuse_and_stays_as_it_is(leaksweep, tmp_path, command):
    words = {"status": (), "sql": ("SELECT 1",), "export": ("--out", tmp_path / "out")}[command]
    path = tmp_path / "notes.db"
    path.write_text("not a database, but long enough to look like one" * 20)
    before = path.read_bytes()
    ended = leaksweep(command, *words, "--db", f"sqlite:///{path}")
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 1
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_query_that_takes_too_long_is_stopped(leaksweep, url):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT max(x) FROM n"
    ended = leaksweep("sql", endless, "--timeout", "0.2")
    assert ended.code == 2
    assert "0.2" in ended.err


@pytest.mark.parametrize("name", ["table", "csv", "json", "markdown"])
def test_a_reader_that_stops_early_is_no_error(start_leaksweep, url, name):
    many = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n LIMIT 50000) SELECT x FROM n"
    )
    process = start_leaksweep("sql", many, "--format", name)
    head = subprocess.run(
        ["head", "-n1"], stdin=process.stdout, capture_output=True, text=True, check=True
    )
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    assert len(head.stdout.splitlines()) == 1


def test_export_writes_the_tables_and_names_the_files(leaksweep, url, tmp_path):
    ended = leaksweep("export", "--out", tmp_path / "s", "--format", "csv,markdown")
    assert ended.code == 0
    printed = ended.out.splitlines()
    written = sorted(str(path) for path in (tmp_path / "s").iterdir())
    assert sorted(printed) == written
    assert str(tmp_path / "s" / "by_optimizer.csv") in printed
    assert {path.rpartition(".")[2] for path in printed} == {"csv", "md"}


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (("presets",), "article"),
        (("presets", "article"), "[[grid]]"),
        (("axes",), "weight_decay"),
        (("schema",), "leak_rate_by_optimizer (view)"),
        (("optimizers",), "betas[0]"),
    ],
)
def test_show_lists_what_there_is(leaksweep, topic, expected):
    ended = leaksweep("show", *topic)
    assert ended.code == 0
    assert expected in ended.out


def test_export_to_a_place_that_cannot_be_written_is_misuse(leaksweep, url, tmp_path):
    (tmp_path / "file").touch()
    ended = leaksweep("export", "--out", tmp_path / "file" / "folder")
    assert (ended.code, ended.out) == (2, "")
    assert f"Cannot write to {tmp_path}/file/folder: Not a directory." in ended.err
