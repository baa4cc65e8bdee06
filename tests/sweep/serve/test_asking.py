import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sweep.errors import NotThereError, QueryRefusedError, SystemLimitError
from sweep.serve.asking import Asker, SqlQuestion, answer

ONE_LONG_INSTRUCTION = (
    "SELECT instr(replace(hex(zeroblob(7000000)), '00', 'a'), "
    "replace(hex(zeroblob(3000000)), '00', 'a') || 'b')"
)


@pytest.fixture
def asker(made_once):
    found = Asker(str(made_once))
    yield found
    found.close()


def question(sql, *, params=(), most=None, limit_s=5.0):
    return SqlQuestion(sql, params, most, limit_s)


def test_columns_and_rows_come_back_as_they_are(asker):
    found = asker.ask(question("SELECT ? AS a, 2.5 AS a, x'00' AS b, NULL", params=(1,)))
    assert found.columns == ("a", "a", "b", "NULL")
    assert found.rows == [(1, 2.5, b"\0", None)]


def test_no_more_rows_come_than_are_wanted(asker):
    assert len(asker.ask(question("SELECT id FROM trial", most=3)).rows) == 3


def test_a_process_is_asked_again(asker):
    pids = {asker.ask(question("SELECT 1")) and asker._idle[0]._process.pid for _ in range(3)}
    assert len(pids) == 1


def test_one_instruction_that_takes_hours_is_ended_and_the_next_question_answered(asker):
    begun = time.monotonic()
    with pytest.raises(QueryRefusedError, match=r"it ran for more than 0\.5 seconds"):
        asker.ask(question(ONE_LONG_INSTRUCTION, limit_s=0.5))
    assert time.monotonic() - begun < 5
    assert asker.ask(question("SELECT 1")).rows == [(1,)]


def test_a_query_that_looks_up_says_interrupted(asker):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT max(i) FROM n"
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        asker.ask(question(endless, limit_s=0.2))


@pytest.mark.parametrize(
    ("sql", "kind", "message"),
    [
        ("SELECT zeroblob(900000000)", sqlite3.Error, "too big"),
        ("SELECT randomblob(9000000) FROM trial", QueryRefusedError, "larger than 32 MiB"),
        ("SELECT nowhere", sqlite3.OperationalError, "no such column"),
        ("SELECT 1; SELECT 2", sqlite3.Warning, "one statement at a time"),
        ("DELETE FROM trial", sqlite3.DatabaseError, "not authorized"),
        ("SELECT '\0'", sqlite3.OperationalError, "null character"),
    ],
)
def test_what_is_refused_is_told_and_the_process_goes_on(asker, sql, kind, message):
    with pytest.raises((kind, sqlite3.ProgrammingError), match=message):
        asker.ask(question(sql))
    assert len(asker._idle) <= 1
    assert asker.ask(question("SELECT 1")).rows == [(1,)]


def test_many_rows_are_bounded_however_small(made_once):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n"
    with pytest.raises(QueryRefusedError, match="larger than 32 MiB, which a page does not hold"):
        answer(str(made_once), question(endless))


def test_a_database_that_is_gone_is_told(tmp_path):
    asker = Asker(str(tmp_path / "none.db"))
    with pytest.raises(NotThereError, match="There is no database"):
        asker.ask(question("SELECT 1"))
    asker.close()


def test_what_is_no_file_is_told():
    with pytest.raises(NotThereError, match="There is no database at postgresql"):
        answer("postgresql://me@127.0.0.1:1/x", question("SELECT 1"))


def test_a_process_that_dies_is_told_and_another_answers(asker):
    asker.ask(question("SELECT 1"))
    asker._idle[0]._process.kill()
    with pytest.raises(QueryRefusedError, match="took more than the process that ran it"):
        asker.ask(question("SELECT 1"))
    assert asker.ask(question("SELECT 1")).rows == [(1,)]


def test_a_process_that_the_system_refuses_is_one_message(made_once, monkeypatch):
    def refuse(*args, **options):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("sweep.serve.asking.subprocess.Popen", refuse)
    with pytest.raises(SystemLimitError, match="No process could be started"):
        Asker(str(made_once)).ask(question("SELECT 1"))


def test_a_process_that_does_not_begin_is_ended(made_once, monkeypatch):
    monkeypatch.setattr("sweep.serve.asking.START_S", 0.0)
    with pytest.raises(QueryRefusedError, match="it ran for more than 0 seconds"):
        Asker(str(made_once)).ask(question("SELECT 1"))


def test_several_threads_ask_at_once(asker):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: asker.ask(question(f"SELECT {n}")).rows, range(12)))
    assert found == [[(n,)] for n in range(12)]


def test_processes_end_with_the_asker(asker):
    asker.ask(question("SELECT 1"))
    pid = asker._idle[0]._process.pid
    asker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
