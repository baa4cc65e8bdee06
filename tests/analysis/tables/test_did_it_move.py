"""The answer of a sweep: what is put together did the same, and nothing else is."""

from itertools import product

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.schema import CLEARINGS, SweepKind
from analysis.tables.did_it_move import BESIDE, results

LEAK = {"verdict": "leaks"}


def told(table, *columns):
    return table[list(columns)].astype(object).where(table.notna(), None).to_numpy().tolist()


def grid(verdict, **fixed):
    """Every zero_grad, momentum and weight_decay, with what ``verdict`` says of each."""
    return [
        {"zero_grad": z, "momentum": m, "weight_decay": d, "verdict": verdict(z, m, d)} | fixed
        for z, m, d in product(CLEARINGS, (0.0, 0.9), (0.0, 0.1, 0.5))
    ]


def sgd(zero_grad, momentum, weight_decay):
    moves = zero_grad == "never" or (zero_grad == "zero" and (momentum > 0 or weight_decay > 0))
    return "leaks" if moves else "holds"


def test_settings_that_did_the_same_are_one_row_with_their_values(trials):
    table = results(trials(*grid(sgd)))
    columns = ("momentum", "weight_decay", *CLEARINGS, "trials", "leaks")
    assert told(table, *columns) == [
        ["0", "0", "holds", "holds", "leaks", 3, 1],
        ["0", "0.1, 0.5", "holds", "leaks", "leaks", 6, 4],
        ["0.9", "any", "holds", "leaks", "leaks", 9, 6],
    ]


def test_optimizers_that_did_the_same_share_their_rows_whatever_their_rates(trials):
    same = [row | {"optimizer": "Adam", "lr": 0.001} for row in grid(sgd)]
    table = results(trials(*grid(sgd), *same))
    assert set(table["optimizers"]) == {"Adam, SGD"}
    assert set(table["lr"]) == {"any"}
    assert table["trials"].sum() == 36


def test_an_axis_that_decides_is_never_folded(trials):
    rows = [
        {"freeze": way} | (LEAK if way == "grad_zero" else {})
        for way in ("detach", "no_grad", "grad_zero")
    ]
    table = results(trials(*rows))
    assert told(table, "freeze", "zero") == [["detach, no_grad", "holds"], ["grad_zero", "leaks"]]


@pytest.mark.parametrize(
    ("verdicts", "cell"),
    [
        (["leaks", "leaks"], "leaks"),
        (["leaks", "holds", "leaks"], "leaks 2/3"),
        (["holds", "failed"], "holds 1/2"),
        (["inert", "inert"], "inert"),
        (["failed"], "failed"),
    ],
)
def test_a_cell_folds_seeds_and_hides_no_disagreement(trials, verdicts, cell):
    frame = trials(*({"verdict": v, "seed": seed} for seed, v in enumerate(verdicts)))
    assert told(results(frame), "zero", "none") == [[cell, None]]


def test_failed_and_inert_trials_are_counted_beside_those_that_prove_something(trials):
    frame = trials(LEAK, {"verdict": "inert", "seed": 1}, {"verdict": "failed", "seed": 2})
    assert told(results(frame), "trials", "leaks", "inert", "failed") == [[1, 1, 1, 1]]


def test_a_searched_number_is_its_range_and_its_cells_have_counts(trials):
    rows = [
        {"lr": 10.0**-n, "sweep_kind": SweepKind.SEARCH} | (LEAK if n < 5 else {})
        for n in range(20)
    ]
    table = results(trials(*rows))
    assert told(table, "lr", "zero") == [["1e-19 to 1", "leaks 5/20"]]


def test_sweeps_are_never_mixed(trials):
    table = results(trials(LEAK, {"sweep": "t"}))
    assert told(table, "sweep", "zero") == [["s", "leaks"], ["t", "holds"]]


ROWS = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(["SGD", "Adam", "LBFGS"]),
        "lr": st.sampled_from([0.1, 1.0]),
        "momentum": st.sampled_from([None, 0.0, 0.9]),
        "zero_grad": st.sampled_from(CLEARINGS),
        "freeze": st.sampled_from(["detach", "grad_none"]),
        "verdict": st.sampled_from(["leaks", "holds", "failed"]),
    }
)


@settings(max_examples=40, deadline=None)  # a frame takes a while to build
@given(rows=st.lists(ROWS, min_size=1, max_size=25))
def test_every_trial_is_in_one_row_that_says_what_it_did(trials, rows):
    frame = trials(*(row | {"seed": seed} for seed, row in enumerate(rows)))
    table = results(frame)
    assert table[["trials", "inert", "failed"]].to_numpy().sum() == len(rows)
    for trial in frame.to_dict("records"):
        (row,) = [row for row in table.to_dict("records") if holds_for(row, trial)]
        cell = row[trial["zero_grad"]]
        assert cell == trial["verdict"] or "/" in cell


def holds_for(row, trial):
    """Whether a row of the table is about a trial; ``any`` is about all of its optimizers' own."""
    if trial["optimizer"] not in row["optimizers"].split(", "):
        return False
    return all(row[axis] == "any" or text(trial[axis]) in texts(row[axis]) for axis in BESIDE)


def text(value):
    return "null" if pd.isna(value) else f"{value:.6g}" if isinstance(value, float) else value


def texts(cell):
    return ["null"] if pd.isna(cell) else cell.split(", ")
