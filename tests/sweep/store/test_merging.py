"""Sweeps of other files, taken in with their environments; from either kind, into either."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from sweep.errors import DatabaseError, MisuseError, NotThereError
from sweep.store.merging import Merged, merge_sweeps
from sweep.store.query import run_query
from sweep.store.store import Store
from sweep.values.outcome import StepRecord
from sweep.values.words import GradState, Verdict

STEPS = tuple(StepRecord(n, True, 1.0, GradState.ZERO, True, 0.5) for n in range(3))
KEPT = Path(__file__).parents[2] / "data" / "leaksweep_0001.sqlite3"
EVERYTHING = """
SELECT trial.*, environment.*, sweep.name FROM trial
JOIN environment ON environment.id = environment_id JOIN sweep ON sweep.id = sweep_id
ORDER BY sweep.name, fingerprint
"""
IDS = {"id", "sweep_id", "environment_id"}


def never(_, __):
    raise AssertionError("two equal specs need not be united")


def everything(url):
    """All that is said of trials but the numbers of rows, times as UTC."""
    with run_query(url, EVERYTHING) as rows:
        return [
            {n: _plain(v) for n, v in zip(rows.columns, row, strict=True) if n not in IDS}
            for row in rows
        ]


def _plain(value):
    if isinstance(value, str) and value.startswith("2026-"):
        return value[:26]
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value


@pytest.fixture
def other(tmp_path, make):
    """The URL of a file with two sweeps of another machine, and an outcome of each kind."""
    url = f"sqlite:///{tmp_path}/other.db"
    there = make.environment("cuda (H200)")
    with Store.open(url) as store:
        sweep = store.record_sweep("mine", '{"name":"mine"}', 4)
        outcomes = [make.outcome(seed, environment=there) for seed in (0, 1)]
        outcomes.append(make.outcome(2, environment=there, steps=STEPS))
        outcomes.append(make.outcome(3, Verdict.FAILED, environment=there))
        store.write(sweep.id, outcomes)
        store.write(store.record_sweep("theirs", "{}", 1).id, [make.outcome(9)])
    return url


@pytest.fixture
def store(database_url):
    with Store.open(database_url) as opened:
        yield opened


def test_everything_of_another_file_comes_in_once(store, other):
    merged = merge_sweeps(store, other, unite=never)
    assert merged == [Merged("mine", 4, 0, True), Merged("theirs", 1, 0, True)]
    assert everything(store.url) == everything(other)
    with run_query(store.url, "SELECT count(*), min(step), max(step) FROM step") as rows:
        assert list(rows) == [(3, 0, 2)]
    again = merge_sweeps(store, other, unite=never)
    assert again == [Merged("mine", 0, 4, False), Merged("theirs", 0, 1, False)]
    assert everything(store.url) == everything(other)


def test_of_two_outcomes_the_one_here_stays_unless_it_alone_failed(store, other, make):
    sweep = store.record_sweep("mine", '{"name":"mine"}', 4)
    store.write(sweep.id, [make.outcome(0), make.outcome(1, Verdict.FAILED), make.outcome(3)])
    merged = merge_sweeps(store, other, unite=never, names=["mine"])
    assert merged == [Merged("mine", added=2, there=2, is_new=False)]
    found = {row["seed"]: (row["verdict"], row["device"]) for row in everything(store.url)}
    assert found == {
        0: ("leaks", "cpu"),
        1: ("leaks", "cuda (H200)"),
        2: ("leaks", "cuda (H200)"),
        3: ("leaks", "cpu"),
    }


def test_two_specs_of_one_name_become_the_one_that_unites_them(store, other):
    store.record_sweep("mine", '{"here":1}', 4)
    asked = []
    merge_sweeps(store, other, unite=lambda *specs: asked.append(specs) or ('{"both":1}', 7))
    assert asked == [('{"here":1}', '{"name":"mine"}')]
    assert (store.sweep("mine").spec, store.sweep("mine").planned) == ('{"both":1}', 7)


def refusing(_, __):
    raise MisuseError("These sweeps cannot become one")


def test_nothing_is_written_where_one_of_them_cannot_be_united(store, other):
    store.record_sweep("theirs", '{"here":1}', 4)
    with pytest.raises(MisuseError, match="cannot become one"):
        merge_sweeps(store, other, unite=refusing)
    assert store.sweep("mine") is None


def test_a_sweep_that_is_being_run_is_let_be(store, other):
    sweep = store.record_sweep("mine", '{"name":"mine"}', 4)
    with store.running(sweep.id), pytest.raises(MisuseError, match="Somebody is running"):
        merge_sweeps(store, other, unite=never)


def test_a_database_is_not_merged_into_itself(store, other, tmp_path, monkeypatch):
    with pytest.raises(MisuseError, match="cannot be merged into itself"):
        merge_sweeps(store, store.url, unite=never)
    monkeypatch.chdir(tmp_path)
    with Store.open(other) as same, pytest.raises(MisuseError, match="merged into itself"):
        merge_sweeps(same, "other.db", unite=never)


def test_a_name_that_is_not_there_is_answered_with_the_nearest(store, other):
    with pytest.raises(NotThereError, match="Did you mean 'mine'"):
        merge_sweeps(store, other, unite=never, names=["mien"])
    with pytest.raises(NotThereError, match="There is no database at"):
        merge_sweeps(store, f"{other}x", unite=never)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE sweep SET planned = 1e999", r"sweep\.planned is inf"),
        ("UPDATE sweep SET created_at = 5", r"sweep\.created_at is 5"),
        ("UPDATE trial SET lr = 'much'", r"trial\.lr is 'much'"),
        ("UPDATE trial SET max_drift = x'00'", r"trial\.max_drift is b'\\x00'"),
        ("UPDATE trial SET optimizer = x'00ff'", r"trial\.optimizer is b'\\x00\\xff'"),
        ("UPDATE trial SET finished_at = x'00'", r"trial\.finished_at is b"),
        ("UPDATE trial SET moved = 7", r"trial\.moved is 7"),
        ("UPDATE trial SET seed = 0.5", r"trial\.seed is 0\.5"),
        ("UPDATE trial SET environment_id = 77", "environment_id 77 is of none"),
        ("UPDATE step SET loss = 'a'", r"step\.loss is 'a'"),
        ("UPDATE environment SET threads = 'x'", r"environment\.threads is 'x'"),
    ],
)
def test_what_this_program_does_not_write_is_refused_in_one_message(
    store, other, statement, message
):
    with closing(sqlite3.connect(other.removeprefix("sqlite:///"))) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(DatabaseError, match=rf"what this program does not write: .*{message}"):
        merge_sweeps(store, other, unite=never)
    assert everything(store.url) == []


def test_a_file_of_an_older_schema_is_taken_in_as_it_is(store, tmp_path):
    old = Path(shutil.copy(KEPT, tmp_path / "old.db"))
    before = old.read_bytes()
    assert merge_sweeps(store, str(old), unite=never) == [Merged("kept", 7, 0, True)]
    assert {row["causes"] for row in everything(store.url)} == {None}
    assert json.loads(store.sweep("kept").spec)["name"] == "kept"
    assert old.read_bytes() == before
