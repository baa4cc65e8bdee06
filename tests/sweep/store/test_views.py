import dataclasses

import pytest

from sweep.store.query import run_query
from sweep.store.store import Store
from sweep.store.views import VIEWS
from sweep.values.outcome import Causes
from sweep.values.words import Verdict


def rows(url, sql):
    with run_query(url, sql) as result:
        return [dict(zip(result.columns, row, strict=True)) for row in result]


@pytest.fixture
def filled(database_url, make):
    """Two sweeps; in the first, SGD leaks on two of three seeds and Adam proves nothing."""
    verdicts = [Verdict.LEAKS, Verdict.LEAKS, Verdict.HOLDS, Verdict.INERT, Verdict.FAILED]
    outcomes = [make.outcome(seed, verdict) for seed, verdict in enumerate(verdicts)]
    measured = dataclasses.replace(make.MEASUREMENT, max_drift=float("inf"), diverged=True)
    outcomes[1] = make.outcome(1, measurement=measured)
    adam = make.outcome(7, Verdict.INERT, planned=make.planned(7, optimizer="Adam"))
    with Store.open(database_url) as store:
        store.write(store.record_sweep("first", "{}", 6).id, [*outcomes, adam])
        store.write(store.record_sweep("second", "{}", 1).id, [make.outcome(0, Verdict.HOLDS)])
    return database_url


COUNTS = ("sweep", "trials", "leaks", "holds", "inert", "failed", "diverged", "leak_rate")


@pytest.mark.parametrize(
    ("view", "where", "expected"),
    [
        ("leak_rate_by_optimizer", "optimizer = 'SGD'", ("first", 3, 2, 1, 1, 1, 1, 2 / 3)),
        ("leak_rate_by_optimizer", "optimizer = 'Adam'", ("first", 0, 0, 0, 1, 0, 0, None)),
        ("leak_rate_by_zero_grad", "zero_grad = 'none'", ("first", 3, 2, 1, 2, 1, 1, 2 / 3)),
        ("leak_rate_by_setting", "optimizer = 'SGD'", ("first", 3, 2, 1, 1, 1, 1, 2 / 3)),
    ],
)
def test_rates_come_with_their_counts_and_leave_out_what_proves_nothing(
    filled, view, where, expected
):
    (row,) = rows(filled, f"SELECT * FROM {view} WHERE {where} AND sweep = 'first'")
    assert tuple(row[name] for name in COUNTS) == expected
    assert row["max_drift"] == (None if "Adam" in where else float("inf"))  # of leaks


@pytest.mark.parametrize("view", [view.name for view in VIEWS if view.name != "leak"])
def test_sweeps_are_never_mixed_in_one_rate(filled, view):
    (row,) = rows(filled, f"SELECT * FROM {view} WHERE sweep = 'second'")
    assert (row["trials"], row["leak_rate"]) == (1, 0.0)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_columns_are_those_that_are_documented(filled, view):
    with run_query(filled, f"SELECT * FROM {view.name}") as result:
        assert result.columns == view.columns


def test_only_leaking_trials_are_leaks(filled):
    assert [row["seed"] for row in rows(filled, "SELECT * FROM leak ORDER BY seed")] == [0, 1]


@pytest.mark.parametrize(
    ("causes", "words"),
    [
        (Causes(True, True, False, False, False, "history+decay"), "history+decay"),
        (Causes(True, True, False, False, False), "decay, history"),
        (Causes(False, False, True, True, True), "intrinsic, gradient"),
        (Causes(False, False, False, False, True), ""),
        (None, None),
    ],
)
def test_causes_are_as_recorded_or_else_spelled_out_of_their_flags(
    database_url, make, causes, words
):
    with Store.open(database_url) as store:
        store.write(store.record_sweep("a", "{}", 1).id, [make.outcome(causes=causes)])
    (row,) = rows(database_url, "SELECT causes, sideways FROM leak")
    assert row == {"causes": words, "sideways": False}
