"""Trials that another sweep of the database has run are taken over, if they would be the same."""

from dataclasses import replace

import pytest

from sweep.store.query import run_query
from sweep.store.store import Store
from sweep.store.taking_over import take_over
from sweep.values.outcome import StepRecord
from sweep.values.words import GradState, Verdict

STEPS = tuple(StepRecord(n, True, 1.0, GradState.ZERO, True, 0.5) for n in range(3))
TORCH = "torch 2.13.0"  # what `make.outcome` says that its optimizer is of


@pytest.fixture
def store(database_url):
    with Store.open(database_url) as opened:
        yield opened


@pytest.fixture
def taken(store, make):
    """Takes ``planned`` over into a sweep of their own; returns how many that were."""

    def take(planned, *, here=make.ENVIRONMENT, package=TORCH, traced=False):
        sweep = store.record_sweep("mine", "{}", len(planned))
        return take_over(
            store, sweep.id, planned, lambda: here, lambda optimizer: package, traced=traced
        )

    return take


def of_mine(store, columns="seed, verdict"):
    query = f"SELECT {columns} FROM trial JOIN sweep ON sweep.id = sweep_id WHERE name = 'mine'"
    with run_query(store.url, f"{query} ORDER BY 1") as rows:
        return list(rows)


def test_what_another_sweep_has_is_taken_with_its_steps_and_the_rest_is_left(store, make, taken):
    other = store.record_sweep("other", "{}", 3)
    store.write(other.id, [make.outcome(0, steps=STEPS), make.outcome(1), make.outcome(2)])
    assert taken([make.planned(seed) for seed in (0, 1, 5)]) == 2
    assert of_mine(store) == [(0, "leaks"), (1, "leaks")]
    assert of_mine(store, "trial.id IN (SELECT trial_id FROM step)") in (
        [(0,), (1,)],
        [(False,), (True,)],
    )
    with run_query(store.url, "SELECT trial_id, count(*) FROM step GROUP BY 1") as rows:
        assert [count for _, count in rows] == [3, 3]
    assert taken([make.planned(seed) for seed in (0, 1, 5)]) == 0
    assert store.tally(other.id).total() == 3


def test_a_trial_that_two_sweeps_have_is_taken_once(store, make, taken):
    for name in ("one", "two"):
        store.write(store.record_sweep(name, "{}", 1).id, [make.outcome(0, steps=STEPS)])
    assert taken([make.planned(0)]) == 1
    with run_query(store.url, "SELECT count(*) FROM step") as rows:
        assert list(rows) == [(9,)]


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        ({"verdict": Verdict.FAILED}, {}),
        ({}, {"here": "another machine"}),
        ({}, {"package": "torch 2.14.0"}),
        ({}, {"package": None}),
        ({}, {"traced": True}),
    ],
    ids=str,
)
def test_what_would_not_be_the_same_is_run(store, make, taken, recorded, asked):
    other = store.record_sweep("other", "{}", 1)
    store.write(other.id, [make.outcome(0, **recorded)])
    if "here" in asked:
        asked = {"here": replace(make.ENVIRONMENT, cpu=asked["here"])}
    assert taken([make.planned(0)], **asked) == 0
    assert of_mine(store) == []


def test_with_steps_asked_for_a_trial_that_has_them_is_taken(store, make, taken):
    other = store.record_sweep("other", "{}", 1)
    store.write(other.id, [make.outcome(0, steps=STEPS)])
    assert taken([make.planned(0)], traced=True) == 1


def test_code_of_ones_own_is_run_as_it_may_have_changed(store, make, taken):
    own = make.planned(0, optimizer="mine:Mine")
    store.write(store.record_sweep("other", "{}", 1).id, [make.outcome(0, planned=own)])
    assert taken([own]) == 0


def test_where_there_is_no_other_sweep_nothing_is_asked(store, make):
    sweep = store.record_sweep("mine", "{}", 1)

    def never(*_):
        raise AssertionError("no environment is needed")

    assert take_over(store, sweep.id, [make.planned(0)], never, never) == 0
