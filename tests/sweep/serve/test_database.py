import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from sweep.errors import NotThereError, QueryRefusedError, SystemLimitError
from sweep.serve.database import Places
from sweep.serve.launch import datasette
from sweep.serve.metadata import DATABASE
from sweep.store.url import parse_url


@pytest.fixture
def opened():
    """Opens the database at a path as Datasette has it; its processes end with the test."""
    found = []

    def open_it(path):
        found.append(datasette(parse_url(str(path)), Path(path)).get_database(DATABASE))
        return found[-1]

    yield open_it
    for each in found:
        each.close()


def files(folder):
    """What is in ``folder``, without the index of a log that SQLite's own readers leave there."""
    return {path for path in folder.iterdir() if not path.name.endswith(("-shm", "-wal"))}


def answer(database, sql):
    return [tuple(row) for row in asyncio.run(database.execute(sql)).rows]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM trial",
        "INSERT INTO sweep (name) VALUES ('x')",
        "DROP VIEW leak",
        "CREATE TABLE x (a)",
        "CREATE TEMP TABLE x (a)",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "SELECT load_extension('x')",
        "BEGIN IMMEDIATE",
    ],
)
def test_no_connection_writes(opened, database, statement, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = Path(database).read_bytes(), files(tmp_path)
    with closing(opened(database).connect()) as connection, pytest.raises(sqlite3.Error):
        connection.execute(statement)
    assert (Path(database).read_bytes(), files(tmp_path)) == before


def test_a_connection_that_writes_is_refused(opened, database):
    with pytest.raises(QueryRefusedError, match=r"sweep\.db is open for reading only"):
        opened(database).connect(write=True)
    with pytest.raises(QueryRefusedError, match="open for reading only"):
        asyncio.run(opened(database).execute_write("DELETE FROM trial"))


@pytest.mark.parametrize("name", ["a#b.db", "100%.db", "a%3fmode=rwc.db", "a b.db", "ä.db"])
def test_a_name_that_means_something_in_an_address_is_only_a_name(opened, database, tmp_path, name):
    shutil.copy(database, tmp_path / name)
    before = files(tmp_path)
    found = opened(tmp_path / name)
    assert answer(found, "SELECT count(*) FROM sweep") == [(2,)]
    assert files(tmp_path) == before


def test_what_is_recorded_is_seen_at_once(opened, database):
    found = opened(database)
    before = answer(found, "SELECT count(*) FROM trial")
    with closing(sqlite3.connect(database)) as writer, writer:
        writer.execute("DELETE FROM trial WHERE id = 1")
    assert answer(found, "SELECT count(*) FROM trial") == [(before[0][0] - 1,)]


def test_a_file_that_is_replaced_is_read_as_it_then_is(opened, database, made_once):
    found = opened(database)
    assert answer(found, "SELECT count(*) FROM sweep") == [(2,)]
    Path(database).unlink()
    with pytest.raises(NotThereError, match="There is no database"):
        answer(found, "SELECT count(*) FROM sweep")
    shutil.copy(made_once, database)
    assert answer(found, "SELECT count(*) FROM sweep") == [(2,)]


def test_no_other_database_is_on_the_page(opened, database):
    page = opened(database).ds
    assert [name for name in page.databases if name != "_internal"] == [DATABASE]


def test_an_answer_and_an_error_come_back():
    async def ask():
        places = Places(1)
        assert await places.answer(lambda: 3, limit_s=5) == 3
        with pytest.raises(ZeroDivisionError):
            await places.answer(lambda: 1 / 0, limit_s=5)
        assert await places.answer(lambda: 4, limit_s=5) == 4

    asyncio.run(ask())


def test_what_takes_too_long_is_left_but_keeps_its_place(monkeypatch):
    monkeypatch.setattr("sweep.serve.database._THREAD_GRACE_S", 0.0)
    monkeypatch.setattr("sweep.serve.database._PATIENCE_S", 0.05)
    end = threading.Event()

    async def ask():
        places = Places(1)
        with pytest.raises(QueryRefusedError, match=r"it ran for more than 0\.05 seconds"):
            await places.answer(end.wait, limit_s=0.05)
        with pytest.raises(QueryRefusedError, match="1 questions are being answered, and no more"):
            await places.answer(lambda: 1, limit_s=5)
        end.set()
        monkeypatch.setattr("sweep.serve.database._PATIENCE_S", 5.0)
        assert await places.answer(lambda: 2, limit_s=5) == 2

    asyncio.run(ask())


def test_a_thread_that_the_system_refuses_gives_its_place_back(monkeypatch):
    class Refused(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    async def ask():
        places = Places(1)
        monkeypatch.setattr("sweep.serve.database.threading.Thread", Refused)
        with pytest.raises(SystemLimitError, match="No thread could be started: can't start new"):
            await places.answer(lambda: 1, limit_s=5)
        monkeypatch.undo()
        assert await places.answer(lambda: 1, limit_s=5) == 1

    asyncio.run(ask())
