import pandas as pd
import pytest

from analysis.folded import load_folded
from analysis.tables import SUMMARIES
from analysis.tables.remedy_pairs import CHANGES, EVERY, remedies

LEAK = {"verdict": "leaks", "by_history": True}


def rows(frame, optimizer):
    table = remedies(frame)
    own = table[(table["optimizer"] == optimizer) & (table["causes"] == EVERY)]
    return own.set_index(["axis", "from", "to"])


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


def test_leaks_are_folded_and_told_apart_by_optimizer_and_by_causes(trials):
    frame = trials(
        LEAK | {"seed": 1, "causes": "history"},
        {"zero_grad": "none", "seed": 1},
        LEAK | {"seed": 2, "causes": "history+decay"},
        {"zero_grad": "none", "seed": 2},
        {"verdict": "leaks", "optimizer": "LBFGS"},
        {"verdict": "leaks", "optimizer": "LBFGS", "zero_grad": "none"},
    )
    table = remedies(frame)
    assert table[["optimizer", "causes", "pairs", "stopped", "left"]].to_numpy().tolist() == [
        [EVERY, EVERY, 3, 2, 1],
        ["LBFGS", EVERY, 1, 0, 1],
        ["SGD", EVERY, 2, 2, 0],
        [EVERY, "history", 1, 1, 0],
        [EVERY, "history+decay", 1, 1, 0],
        [EVERY, "not known", 1, 0, 1],
    ]
    assert table["left_settings"].iloc[0] == "LBFGS"


def test_every_remedy_starts_from_the_ways_that_people_freeze_by(trials):
    """A way that writes zeros into the grad is not held against setting it to None."""
    ways = ("detach", "no_grad", "grad_zero")
    leaks = [LEAK | {"freeze": way, "zero_grad": "zero"} for way in ways]
    none = [{"freeze": way, "zero_grad": "none"} for way in ways[:2]]
    still = LEAK | {"freeze": "grad_zero", "zero_grad": "none"}
    table = remedies(trials(*leaks, *none, still))
    table = table[(table["optimizer"] == EVERY) & (table["causes"] == EVERY)]
    told = table[table["axis"] == "zero_grad"][["frozen_by", "pairs", "stopped", "left"]]
    assert told.to_numpy().tolist() == [["detach, no_grad", 2, 2, 0], ["grad_zero", 1, 0, 1]]
    freezes = table[table["axis"] == "freeze"]
    assert (freezes["from"] == freezes["frozen_by"]).all()


def test_pairs_of_folded_trials_are_those_of_the_trials(database):
    rows = [
        (LEAK if word == "zero" else {}) | {"zero_grad": word, "lr": rate, "seed": seed}
        for word in ("zero", "none")
        for rate in (0.1, 0.2)
        for seed in range(2 if word == "none" else 3)
    ]
    needs = SUMMARIES["remedies"].needs
    table = remedies(load_folded(database(s=rows), columns=needs))
    assert table["pairs"].iloc[0] == 4


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
    assert all(change.before != change.after for change in CHANGES)
    assert len(set(CHANGES)) == len(CHANGES)
