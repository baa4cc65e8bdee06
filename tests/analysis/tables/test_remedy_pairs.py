import pandas as pd
import pytest

from analysis.tables.remedy_pairs import REMEDIES, remedies

LEAK = {"verdict": "leaks", "by_history": True}


def rows(frame, optimizer):
    table = remedies(frame)
    return table[table["optimizer"] == optimizer].set_index(["axis", "from", "to"])


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"zero_grad": "zero"}, {"zero_grad": "none"}, ("zero_grad", "zero", "none")),
        ({"zero_grad": "never"}, {"zero_grad": "none"}, ("zero_grad", "never", "none")),
        ({"zero_grad": "never"}, {"zero_grad": "zero"}, ("zero_grad", "never", "zero")),
        ({"freeze": "detach"}, {"freeze": "grad_none"}, ("freeze", "detach", "grad_none")),
        ({"freeze": "no_grad"}, {"freeze": "lr_zero"}, ("freeze", "no_grad", "lr_zero")),
        ({"momentum": 0.9}, {"momentum": 0.0}, ("momentum", ">0", "0")),
        ({"weight_decay": 0.5}, {"weight_decay": 0.0}, ("weight_decay", ">0", "0")),
    ],
)
@pytest.mark.parametrize("stops", [True, False])
def test_a_pair_that_differs_in_one_axis_is_counted_once(trials, before, after, change, stops):
    frame = trials(LEAK | before, ({} if stops else LEAK) | after)
    row = rows(frame, "SGD").loc[change]
    assert row[["pairs", "stopped", "left"]].tolist() == [1, int(stops), int(not stops)]
    assert pd.isna(row["left_settings"]) == stops
    assert row["causes"] == "by_history"


@pytest.mark.parametrize(
    "other",
    [
        {"zero_grad": "none", "seed": 1},
        {"zero_grad": "none", "lr": 0.5},
        {"zero_grad": "none", "optimizer": "Adam"},
        {"zero_grad": "none", "sweep": "other"},
        {"zero_grad": "none", "options": '{"a":1}'},
        {"zero_grad": "none", "verdict": "failed"},
        {"zero_grad": "none", "verdict": "inert"},
    ],
)
def test_trials_that_differ_elsewhere_or_prove_nothing_are_no_pair(trials, other):
    assert len(remedies(trials(LEAK, other))) == 0


def test_a_trial_that_holds_needs_no_remedy(trials):
    assert len(remedies(trials({}, {"zero_grad": "none"}))) == 0


def test_nulls_on_other_axes_match_each_other(trials):
    frame = trials(LEAK | {"momentum": None}, {"momentum": None, "zero_grad": "none"})
    assert rows(frame, "SGD")["stopped"].tolist() == [1]


def test_ways_of_leaking_are_told_apart_and_folded(trials):
    frame = trials(
        LEAK | {"seed": 1},
        {"zero_grad": "none", "seed": 1},
        LEAK | {"by_decay": True, "seed": 2},
        {"zero_grad": "none", "seed": 2},
        {"verdict": "leaks", "optimizer": "LBFGS"},
        {"verdict": "leaks", "optimizer": "LBFGS", "zero_grad": "none"},
    )
    table = remedies(frame)
    assert table[["optimizer", "causes", "pairs", "stopped", "left"]].to_numpy().tolist() == [
        ["(all)", "(all)", 3, 2, 1],
        ["LBFGS", "unattributed", 1, 0, 1],
        ["SGD", "by_history", 1, 1, 0],
        ["SGD", "by_history+by_decay", 1, 1, 0],
    ]
    assert table["left_settings"].iloc[0] == "LBFGS"


def test_what_is_left_is_named_by_what_varies_and_capped(trials):
    rates = [1.0, 2.0, 3.0, 4.0, 5.0]
    frame = trials(
        *(LEAK | {"lr": lr, "seed": seed} for lr in rates for seed in (0, 1)),
        *(LEAK | {"lr": lr, "seed": seed, "zero_grad": "none"} for lr in rates for seed in (0, 1)),
    )
    row = rows(frame, "SGD").loc[("zero_grad", "zero", "none")]
    assert row["left"] == 10
    assert row["left_settings"] == "lr=1; lr=2; lr=3; and 2 more"


def test_every_remedy_changes_its_axis():
    assert all(remedy.before != remedy.after for remedy in REMEDIES)
    assert len(set(REMEDIES)) == len(REMEDIES)


def test_settings_of_very_many_values_are_paired_alike(trials, monkeypatch):
    rows = [
        (LEAK if word == "zero" else {}) | {"zero_grad": word, "lr": rate, "seed": seed}
        for word in ("zero", "none")
        for rate in (0.1, 0.2, 0.3)
        for seed in range(2)
    ]
    made = remedies(trials(*rows))
    monkeypatch.setattr("analysis.tables.remedy_pairs._MOST_CODES", 1)
    pd.testing.assert_frame_equal(remedies(trials(*rows)), made)
