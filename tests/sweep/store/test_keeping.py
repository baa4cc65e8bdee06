"""Sweeps that are renamed and deleted, on either kind of database."""

import json

import pytest

from sweep.errors import MisuseError, NotThereError
from sweep.store.keeping import Contents, contents, delete_sweep, rename_sweep
from sweep.store.query import run_query
from sweep.store.store import Store
from sweep.values.outcome import StepRecord
from sweep.values.words import GradState

STEPS = tuple(StepRecord(n, True, 1.0, GradState.ZERO, True, 0.5) for n in range(3))


@pytest.fixture
def store(database_url, make):
    """A store with two sweeps, of two trials each, one of them traced, and two environments."""
    with Store.open(database_url) as opened:
        for name in ("first", "second"):
            sweep = opened.record_sweep(name, json.dumps({"name": name, "kind": "test"}), 2)
            there = make.environment(name)
            opened.write(
                sweep.id,
                [
                    make.outcome(0, environment=there, steps=STEPS),
                    make.outcome(1, environment=there),
                ],
            )
        yield opened


def asked(store, query):
    with run_query(store.url, query) as rows:
        return list(rows)


def test_a_renamed_sweep_has_its_trials_and_its_name_in_its_spec(store):
    before = store.sweep("first")
    rename_sweep(store, "first", "mine")
    after = store.sweep("mine")
    assert store.sweep("first") is None
    assert json.loads(after.spec) == {"name": "mine", "kind": "test"}
    assert (after.id, after.planned, after.created_at) == (
        before.id,
        before.planned,
        before.created_at,
    )
    assert asked(store, f"SELECT count(*) FROM trial WHERE sweep_id = {after.id}") == [(2,)]


@pytest.mark.parametrize("name", ["", "a\nb", "a\x1b[31m", "n" * 201])
def test_what_no_spec_could_name_a_sweep_is_no_new_name(store, name):
    with pytest.raises(MisuseError, match=r"cannot be named .*: a name is 1 to 200 characters"):
        rename_sweep(store, "first", name)
    assert asked(store, "SELECT name FROM sweep ORDER BY id") == [("first",), ("second",)]


def test_a_name_that_is_taken_is_refused_and_nothing_changes(store):
    with pytest.raises(MisuseError, match=r"has a sweep named 'second' already\. Take another"):
        rename_sweep(store, "first", "second")
    assert asked(store, "SELECT name FROM sweep ORDER BY id") == [("first",), ("second",)]
    rename_sweep(store, "first", "first")
    assert asked(store, "SELECT name FROM sweep ORDER BY id") == [("first",), ("second",)]


def test_a_deleted_sweep_takes_its_trials_and_steps_with_it(store):
    assert contents(store, "first") == Contents("first", trials=2, steps=3)
    assert delete_sweep(store, "first") == Contents("first", trials=2, steps=3)
    assert asked(store, "SELECT DISTINCT name FROM sweep, trial") == [("second",)]
    assert asked(store, "SELECT count(*) FROM step") == [(3,)]


def test_a_driver_of_another_sweep_writes_on_after_a_deletion(store, make):
    with Store.open(store.url) as another:
        delete_sweep(another, "first")
    there = make.environment("first")  # which this store knows the row of
    store.write(store.sweep("second").id, [make.outcome(7, environment=there)])
    query = "SELECT device FROM environment JOIN trial ON environment.id = environment_id"
    assert ("first",) in asked(store, query)


@pytest.mark.parametrize(
    "call", [contents, delete_sweep, lambda store, name: rename_sweep(store, name, "x")]
)
def test_a_sweep_that_is_not_there_is_answered_with_the_nearest(store, call):
    with pytest.raises(NotThereError, match=r"no sweep 'frist'\. Did you mean 'first'"):
        call(store, "frist")


@pytest.mark.parametrize("call", [delete_sweep, lambda store, name: rename_sweep(store, name, "x")])
def test_a_sweep_that_is_being_run_is_let_be(store, call):
    with (
        store.running(store.sweep("first").id),
        pytest.raises(MisuseError, match="Somebody is running the sweep 'first'"),
    ):
        call(store, "first")
    assert store.sweep("first") is not None


def test_a_spec_that_is_none_stays_as_it_is(store):
    store.record_sweep("odd", "[1", 0)
    rename_sweep(store, "odd", "even")
    assert store.sweep("even").spec == "[1"
