import pandas as pd
import pytest

from analysis.schema import MOST_VALUES, SETTING_KEYS
from analysis.tables import SUMMARIES
from analysis.tables.rates import (
    by_freeze,
    by_momentum,
    by_optimizer,
    by_schedule,
    by_setting,
    by_weight_decay,
    by_zero_grad,
    optimizer_by_zero_grad,
)

COUNTS = ["trials", "leaks", "holds", "inert", "failed", "diverged"]
AXIS_TABLES = {
    "optimizer": by_optimizer,
    "zero_grad": by_zero_grad,
    "weight_decay": by_weight_decay,
    "momentum": by_momentum,
    "schedule": by_schedule,
    "freeze": by_freeze,
}


@pytest.fixture(scope="module")
def mixed(trials):
    leak = {"verdict": "leaks"}
    return trials(
        leak | {"max_drift": 0.5, "drift_ratio": 0.25, "diverged": True},
        leak | {"max_drift": 2.0, "drift_ratio": 0.75, "seed": 1},
        {"seed": 2},
        {"verdict": "inert", "seed": 3, "max_drift": 0.0},
        {"verdict": "failed", "seed": 4, "max_drift": None, "drift_ratio": None, "diverged": None},
        {"optimizer": "Adagrad", "momentum": None, "zero_grad": "none"},
        {"optimizer": "Broken", "verdict": "failed", "freeze": "lr_zero", "weight_decay": None},
        leak | {"sweep": "other", "drift_ratio": float("inf"), "max_drift": float("inf")},
    )


def test_rates_are_over_the_trials_that_leak_or_hold(mixed):
    row = by_optimizer(mixed).set_index(["sweep", "optimizer"]).loc[("s", "SGD")]
    assert row[COUNTS].tolist() == [3, 2, 1, 1, 1, 1]
    assert row["leak_rate"] == 2 / 3


def test_drifts_are_those_of_leaking_trials(mixed):
    row = by_optimizer(mixed).set_index(["sweep", "optimizer"]).loc[("s", "SGD")]
    assert row["max_drift"] == 2.0


def test_what_a_rate_pools_is_named_beside_it(mixed):
    row = by_zero_grad(mixed).set_index(["sweep", "zero_grad"]).loc[("s", "zero")]
    assert row["pools"] == "optimizer, weight_decay, freeze"
    assert by_setting(mixed).columns.isin(["pools"]).sum() == 0


def test_a_rate_that_pools_nothing_says_so_by_null(trials):
    assert by_optimizer(trials({}, {"seed": 1}))["pools"].isna().all()


def test_a_searched_number_has_a_row_for_each_part_of_its_values(trials):
    rows = [
        {"momentum": n / 100, "sweep_kind": "search", "verdict": "leaks" if n >= 50 else "holds"}
        for n in range(100)
    ]
    table = by_momentum(trials(*rows))
    assert len(table) == MOST_VALUES
    assert table["momentum"].iloc[0] == 0.0
    assert table["to"].iloc[-1] == 0.99
    assert table["trials"].between(6, 7).all()
    assert table["leaks"].sum() == 50


def test_a_grids_number_has_a_row_for_each_value(trials):
    table = by_momentum(trials(*({"momentum": n / 100} for n in range(100))))
    assert len(table) == 100
    assert table["to"].isna().all()


def test_the_median_drift_is_that_of_a_settings_seeds(mixed):
    row = by_setting(mixed).set_index(["sweep", "optimizer"]).loc[("s", "SGD")]
    assert row["median_drift_ratio"] == 0.5


def test_where_nothing_was_proved_the_rate_is_null(mixed):
    row = by_optimizer(mixed).set_index(["sweep", "optimizer"]).loc[("s", "Broken")]
    assert row["trials"] == 0
    assert pd.isna(row["leak_rate"])


def test_sweeps_are_never_mixed(mixed):
    table = by_optimizer(mixed)
    assert table[table["optimizer"] == "SGD"]["sweep"].tolist() == ["other", "s"]


def test_an_axis_that_does_not_apply_has_a_row_of_its_own(mixed):
    table = by_momentum(mixed[mixed["sweep"] == "s"])
    assert table["momentum"].isna().tolist() == [False, True]
    assert table["trials"].tolist() == [3, 1]


@pytest.mark.parametrize("axis", AXIS_TABLES)
def test_every_table_counts_every_trial_once(mixed, axis):
    table = AXIS_TABLES[axis](mixed)
    assert list(table.columns[:2]) == ["sweep", axis]
    assert table[["trials", "inert", "failed"]].to_numpy().sum() == len(mixed)
    assert (table["leaks"] + table["holds"] == table["trials"]).all()
    assert table[COUNTS].sum().tolist() == by_optimizer(mixed)[COUNTS].sum().tolist()


def test_by_setting_folds_seeds_and_nothing_else(mixed):
    table = by_setting(mixed)
    assert list(table.columns[: len(SETTING_KEYS) + 1]) == ["sweep", *SETTING_KEYS]
    assert len(table) == 4
    assert table[COUNTS].sum().tolist() == by_optimizer(mixed)[COUNTS].sum().tolist()


def test_words_are_in_their_documented_order(trials):
    frame = trials(*({"zero_grad": word} for word in ("never", "zero", "none")))
    assert by_zero_grad(frame)["zero_grad"].tolist() == ["none", "zero", "never"]


def test_the_pivot_has_a_rate_and_its_counts_for_each_way_of_clearing(mixed):
    table = optimizer_by_zero_grad(mixed).set_index(["sweep", "optimizer"])
    assert table.loc[("s", "SGD"), ["zero", "trials_zero", "leaks_zero"]].tolist() == [2 / 3, 3, 2]
    assert table.loc[("s", "Adagrad"), ["none", "trials_none"]].tolist() == [0.0, 1]
    assert table.loc[("s", "Adagrad"), ["zero", "never"]].isna().all()
    assert table.loc[("s", "Adagrad"), "trials_zero"] == 0


def test_every_table_reads_only_the_columns_that_it_declares(mixed):
    for table in SUMMARIES.values():
        whole, declared = table.make(mixed), table.make(mixed[list(table.needs)])
        pd.testing.assert_frame_equal(whole, declared)
        assert whole.columns[0] == "sweep", table.name


def test_every_table_of_no_trials_has_its_columns_and_no_rows(mixed):
    for table in SUMMARIES.values():
        empty = table.make(mixed.iloc[:0])
        assert len(empty) == 0, table.name
        assert list(empty.columns) == list(table.make(mixed).columns), table.name
