import pandas as pd

from analysis.tables.failed_trials import failures


def test_the_same_error_is_one_row_with_its_first_trial_as_example(trials):
    failed = {"verdict": "failed", "error": "ValueError: bad\n  more"}
    frame = trials({}, failed | {"lr": 0.5, "seed": 7}, failed | {"seed": 8})
    table = failures(frame)
    assert len(table) == 1
    row = table.iloc[0]
    assert row[["error", "trials", "example_id"]].tolist() == ["ValueError: bad", 2, 2]
    assert row[["lr", "seed"]].tolist() == [0.5, 7]


def test_the_most_frequent_errors_come_first_and_optimizers_stay_apart(trials):
    failed = {"verdict": "failed", "error": "rare"}
    often = {"verdict": "failed", "error": "often"}
    table = failures(trials(failed, often, often, often | {"optimizer": "Adam"}))
    assert table[["optimizer", "error", "trials"]].to_numpy().tolist() == [
        ["SGD", "often", 2],
        ["Adam", "often", 1],
        ["SGD", "rare", 1],
    ]


def test_a_failure_without_text_and_a_long_one_are_kept(trials):
    failed = {"verdict": "failed"}
    table = failures(trials(failed | {"error": None}, failed | {"error": "x" * 500}))
    assert table["error"].str.len().fillna(0).tolist() == [200, 0]
    assert pd.isna(table["error"].iloc[1])
