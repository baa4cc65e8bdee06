"""A watch as a table: a row a parameter, and what to do about it."""

import pandas as pd
import pytest

from analysis.schema import SweepKind
from analysis.tables import SUMMARIES, summary_of, summary_table
from analysis.tables.watched_parameters import watched

MOVED = {"verdict": "leaks", "steps": 20, "frozen_steps": 10, "leaked_steps": 9}
MOVED |= {"first_leak_step": 1, "max_drift": 0.5, "causes": "decay, history"}
STILL = {"verdict": "holds", "steps": 20, "frozen_steps": 10, "leaked_steps": 0}


def named(name, place=0):
    return {"options": f'{{"optimizer":{place},"parameter":"{name}"}}'}


def test_what_moved_comes_first_with_when_why_and_what_to_do(trials):
    frame = trials(STILL | named("a"), MOVED | named("b") | {"first_leak_step": 5},
                   MOVED | named("c", 1))  # fmt: skip
    table = watched(frame)
    assert table["parameter"].tolist() == ["c (optimizer 1)", "b", "a"]
    row = table.iloc[0]
    assert row[["steps", "still_steps", "moved", "first", "max_drift"]].tolist() == [
        20, 10, 9, 1, 0.5,
    ]  # fmt: skip
    assert row[["grad", "causes"]].tolist() == ["zeros", "decay, history"]
    assert table.iloc[2][["max_drift", "causes", "remedy"]].isna().all()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"zero_grad": "zero"}, "let its grad be None, not zeros"),
        ({"zero_grad": "never"}, "set its grad to None before the step"),
        ({"zero_grad": "none"}, "give it an optimizer of its own"),
        ({"zero_grad": "zero", "despite_none": True}, "give it an optimizer of its own"),
    ],
)
def test_the_remedy_follows_from_what_was_found_in_the_grad(trials, found, words):
    assert words in watched(trials(MOVED | named("a") | found))["remedy"].iloc[0]


def test_causes_that_were_not_found_come_with_the_reason(trials):
    unknown = {"causes": None, "unexplained": "the optimizer cannot be built again"}
    row = watched(trials(MOVED | named("a") | unknown)).iloc[0]
    assert row[["causes", "unexplained"]].tolist() == ["not known", unknown["unexplained"]]


def test_the_results_of_a_watch_are_its_parameters_and_it_has_no_other_tables(database):
    url = database(s=[{}], w=[named("a") | {"verdict": "leaks"}], specs={"w": '{"kind":"watch"}'})
    assert summary_of("results", url, "w").kinds == {SweepKind.WATCH}
    assert summary_table("results", url, "w")["parameter"].tolist() == ["a"]
    for name in SUMMARIES.keys() - {"results", "failures"}:
        assert summary_table(name, url, "w").empty, name
    assert summary_table("results", url)["sweep"].tolist() == ["s"]


def test_of_no_parameters_there_are_no_rows(trials):
    assert isinstance(watched(trials(MOVED).iloc[:0]), pd.DataFrame)
