"""What is no value of a column is told, whatever reads it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from analysis import checked_columns
from analysis.exceptions import UnreadableDatabaseError
from analysis.load import load_runs, load_steps, load_sweeps, load_trials
from analysis.schema import CLEARINGS, FREEZES, OWN, READABLE, VERDICTS, Kind
from sweep.store import checked
from sweep.store.models import TABLES
from sweep.values.words import OWN_LOOP, Freeze, GradState, Verdict, ZeroGrad

LEAK = {"verdict": "leaks", "max_drift": 0.1, "drift_ratio": 1 / 3, "by_history": True}

WRONG = {
    "trial": {
        "optimizer": ["x'00'", "NULL"],
        "zero_grad": ["'sometimes'", "NULL"],
        "freeze": ["'hard'"],
        "schedule": ["NULL"],
        "verdict": ["'perhaps'", "x'00'"],
        "causes": ["'magic'", "7", "x'00'"],
        "lr": ["'much'", "x'00'"],
        "train_seconds": ["-1.0", "9e999", "'long'", "NULL"],
        "leaked_steps": ["-1", "0.5", "9e999", "'many'", "x'00'"],
        "max_drift": ["-0.5", "'far'", "x'00'"],
        "final_loss": ["'much'", "x'00'"],
        "moved": ["'yes'", "x'00'"],
        "seed": ["-1", "'x'", "0.5"],
        "finished_at": ["7", "x'00'", "'noon'", "NULL", "''"],
        "sweep_id": ["77", "NULL", "x'00'"],
        "environment_id": ["77", "NULL"],
    },
    "sweep": {
        "name": ["x'00'"],
        "planned": ["'all'", "9e999", "-1", "x'00'"],
        "created_at": ["7", "x'00'", "'noon'"],
        "spec": ["x'00'", "'['", "'{\"grid\": [1]}'"],
    },
    "environment": {"torch": ["x'00'"], "threads": ["'many'", "-1", "NULL"]},
    "step": {
        "step": ["-1", "'x'", "0.5"],
        "loss": ["'much'", "x'00'"],
        "max_change": ["-1.0", "''"],
        "grad": ["'odd'", "x'00'"],
        "moved": ["'yes'", "NULL", "2"],
        "frozen": ["NULL", "x'00'"],
    },
}
CASES = [(t, c, value) for t, columns in WRONG.items() for c in columns for value in columns[c]]


@pytest.fixture
def traced(database):
    """The URL and the path of a database with a leak that has a step; all may be null."""
    url = database(s=[LEAK])
    path = Path(url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO step VALUES (1, 1, 1, 0.5, 'zero', 1, 0.1, 0.5)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE rootpage > 0"
        )
        connection.commit()
    return url, path


def read_all(url):
    load_trials(url, columns=list(READABLE))
    load_runs(url, "s")
    load_steps(url, "s")
    load_sweeps(url)


def test_what_is_right_is_read(traced):
    read_all(traced[0])


@pytest.mark.parametrize(("table", "column", "value"), CASES)
def test_what_this_program_does_not_write_is_told_and_where(traced, table, column, value):
    url, path = traced
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f"UPDATE {table} SET {column} = {value}")
        connection.commit()
    with pytest.raises(UnreadableDatabaseError, match="a column holds what is not of its kind"):
        read_all(url)


def test_the_words_and_bounds_are_those_of_the_program():
    assert {
        "verdict": set(Verdict),
        "zero_grad": set(ZeroGrad),
        "freeze": {*Freeze, OWN_LOOP},
        "grad": set(GradState),
    } == checked_columns.WORDS_OF_COLUMNS
    assert (
        tuple(Verdict),
        tuple(ZeroGrad),
        tuple(Freeze),
        OWN_LOOP,
    ) == (VERDICTS, CLEARINGS, FREEZES, OWN)
    assert checked_columns.UNSIGNED_COLUMNS - {"count"} == checked.NEVER_BELOW_0
    assert checked_columns.FINITE_COLUMNS == checked.ALWAYS_FINITE
    assert checked_columns.CAUSE_SETS.pattern == checked.CAUSES.pattern


def test_what_is_never_null_is_so_in_every_table():
    nullable = {(m.__tablename__, c.name): c.nullable for m in TABLES for c in m.__table__.columns}
    known = {name for _, name in nullable}
    assert known >= checked_columns.NEVER_NULL
    for (table, name), may_be in nullable.items():
        if name in READABLE and table != "step" and READABLE[name] is not Kind.FLAG:
            assert may_be is (name not in checked_columns.NEVER_NULL), name
