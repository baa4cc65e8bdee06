"""Where there is no database to read: every command says so in the same words."""

import sqlite3
from contextlib import closing

import pytest

READERS = {
    "status": (),
    "sql": ("SELECT 1",),
    "table": ("results",),
    "export": (),
    "report": (),
    "why": ("1",),
    "verify": (),
    "publish": ("--storage", "optuna.log"),
    "serve": ("--port", "0"),
    "sweep": ("list",),
}


@pytest.fixture
def said(leaksweep, tmp_path, monkeypatch):
    """What each command that reads says of a database: its exit code and its message."""
    monkeypatch.chdir(tmp_path)

    def ask(db):
        ended = {name: leaksweep(name, *words, "--db", db) for name, words in READERS.items()}
        assert {name for name, end in ended.items() if end.out} == set()
        return {(end.code, end.err.rstrip()) for end in ended.values()}

    return ask


@pytest.mark.parametrize("db", ["none.db", "sqlite:///none.db"])
def test_a_missing_database_is_spelt_as_it_was_given(said, db, tmp_path):
    there_is_none = (
        f"There is no database at {db}. `leaksweep run` makes one; --db or LEAKSWEEP_DB "
        f"names another."
    )
    assert said(db) == {(1, there_is_none)}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "UPDATE alembic_version SET version_num = 'leaksweep_9999'",
            "was written by a newer leaksweep: its schema is 'leaksweep_9999'",
        ),
        ("DROP TABLE alembic_version", "is the database of another program"),
    ],
    ids=["newer", "another program's"],
)
def test_a_database_that_is_not_of_this_program_is_refused(said, database, change, message):
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(change)
        connection.commit()
    ((code, told),) = said(str(database))
    assert code == 2
    assert told.startswith(f"{database} {message}")


def test_a_folder_is_no_database(said, tmp_path):
    assert said(str(tmp_path)) == {(2, f"{tmp_path} is a folder; name a file in it.")}


def test_a_file_without_tables_holds_no_sweep(said, tmp_path):
    (tmp_path / "empty.db").touch()
    assert said("empty.db") == {(1, "empty.db holds no sweep yet; `leaksweep run` makes one.")}
