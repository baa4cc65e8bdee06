"""A value is what this program writes into its column, or the database is refused."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sweep.errors import DatabaseError
from sweep.store.checked import checked
from sweep.store.models import EnvironmentRow, StepRow, SweepRow, TrialRow
from sweep.store.query import checked_rows
from sweep.store.store import Store

RIGHT = [
    ("sweep.planned", int, 0),
    ("trial.lr", float, 1),
    ("trial.final_loss", float, float("inf")),
    ("trial.verdict", str, "inert"),
    ("trial.freeze", str, "own"),
    ("trial.causes", str, "decay, history+gradient"),
    ("trial.moved", bool, 1),
    ("step.grad", str, "nonzero"),
]
WRONG = [
    ("sweep.planned", int, -1),
    ("sweep.planned", int, float("inf")),
    ("sweep.planned", int, True),
    ("trial.seed", int, 0.5),
    ("trial.lr", float, "much"),
    ("trial.lr", float, b"\x00"),
    ("trial.train_seconds", float, float("inf")),
    ("trial.train_seconds", float, -1.0),
    ("trial.max_drift", float, -0.5),
    ("trial.verdict", str, "perhaps"),
    ("trial.zero_grad", str, "often"),
    ("trial.causes", str, "magic"),
    ("trial.error", str, b"\xff"),
    ("trial.moved", bool, 2),
    ("trial.moved", bool, "yes"),
    ("trial.finished_at", datetime, 7),
    ("trial.finished_at", datetime, "noon"),
    ("trial.finished_at", datetime, "0001-01-01 00:00:00"),
    ("step.grad", str, "odd"),
    ("trial.steps", int, None),
]


@pytest.mark.parametrize(("column", "kind", "value"), RIGHT)
def test_what_this_program_writes_is_given_as_its_kind(column, kind, value):
    found = checked(value, kind, column, nullable=False, shown="x.db")
    assert (found, type(found)) == (kind(value), kind)


@pytest.mark.parametrize(("column", "kind", "value"), WRONG)
def test_anything_else_is_told_with_its_column_and_its_value(column, kind, value):
    with pytest.raises(
        DatabaseError, match=rf"x\.db holds what.* not write: {column} is .*Restore"
    ):
        checked(value, kind, column, nullable=False, shown="x.db")


def test_null_is_null_where_it_may_be():
    assert checked(None, int, "trial.leaked_steps", nullable=True, shown="x.db") is None


@pytest.mark.parametrize("model", [SweepRow, TrialRow, StepRow, EnvironmentRow])
def test_all_rows_that_were_written_come_back(database_url, make, model):
    with Store.open(database_url) as store:
        sweep = store.record_sweep("mine", "{}", 2)
        store.write(sweep.id, [make.outcome(seed) for seed in range(2)])
    rows = list(checked_rows(database_url, model))
    expected = {SweepRow: 1, TrialRow: 2, StepRow: 0, EnvironmentRow: 1}
    assert len(rows) == expected[model]
    if model is TrialRow:
        assert sorted((row["moved"], row["seed"]) for row in rows) == [(True, 0), (True, 1)]
        assert rows[0]["finished_at"] == datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def test_one_wrong_value_is_told_wherever_it_stands(sqlite_url, make):
    with Store.open(sqlite_url) as store:
        sweep = store.record_sweep("mine", "{}", 2)
        store.write(sweep.id, [make.outcome(seed) for seed in range(2)])
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE trial SET leaked_steps = -1 WHERE seed = 1")
        connection.commit()
    with pytest.raises(DatabaseError, match=r"trial\.leaked_steps is -1"):
        list(checked_rows(sqlite_url, TrialRow, ("id", "leaked_steps")))
    assert (
        len(list(checked_rows(sqlite_url, TrialRow, ("id", "leaked_steps"), where="seed = 0"))) == 1
    )
