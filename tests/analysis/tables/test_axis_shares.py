import subprocess
import sys
from itertools import product

import numpy as np
import pandas as pd
import pytest

from analysis.searched_importance import fanova, ped_anova
from analysis.tables import axis_shares as table
from analysis.tables.axis_shares import ALL, importance

LEAK, HOLD = {"verdict": "leaks", "drift_ratio": 0.5}, {"verdict": "holds"}
SGD = [
    {"zero_grad": word, "lr": lr, "momentum": momentum}
    | (LEAK if word == "never" else HOLD)
    | {"drift_ratio": lr if word == "never" else 0.0}
    for word, lr, momentum in product(("none", "zero", "never"), (0.1, 0.2, 0.3, 0.4), (0.0, 0.9))
]


def by_axis(rows, column, optimizer="SGD"):
    """The values of ``column`` in the rows of ``optimizer``, by axis."""
    chosen = rows[rows["optimizer"] == optimizer]
    return dict(zip(chosen["axis"], chosen[column], strict=True))


@pytest.fixture(scope="module")
def sgd(trials):
    return importance(trials(*SGD))


def test_the_axis_that_decides_has_all_of_the_importance(sgd):
    assert by_axis(sgd, "fanova") == {"lr": 0.0, "momentum": 0.0, "zero_grad": 1.0}
    assert by_axis(sgd, "ped_anova") == pytest.approx({"lr": 0, "momentum": 0, "zero_grad": 1})
    assert sgd["explained"].min() > 0.9
    assert sgd["together"].max() == 0


def test_what_axes_make_only_together_is_told(trials):
    xor = [
        {"lr": lr, "momentum": momentum, "weight_decay": decay}
        | (LEAK if (lr > 0.2) != (momentum > 0) else HOLD)
        for lr, momentum, decay in product((0.1, 0.2, 0.3, 0.4), (0.0, 0.9), (0.0, 0.1, 0.2))
    ]
    rows = importance(trials(*xor))
    assert rows["together"].min() > 0.8
    assert max(by_axis(rows, "fanova").values()) < 0.1


def test_the_worst_drift_is_told_among_the_leaking_settings(trials):
    far = [
        {"lr": lr, "momentum": momentum, **LEAK, "drift_ratio": lr if lr < 2 else float("inf")}
        for lr, momentum in product((0.1, 0.2, 0.3, 0.4, 0.5, 2.0), (0.0, 0.9))
    ]
    rows = importance(trials(*far))
    assert by_axis(rows, "worst_drift")["lr"] > 0.9
    assert rows[["fanova", "ped_anova", "explained", "together"]].isna().all(axis=None)


def test_fewer_than_ten_leaking_settings_have_no_worst_drift(sgd):
    assert sgd["worst_drift"].isna().all()


def test_an_axis_with_one_value_has_no_row(sgd):
    assert set(sgd["axis"]) == {"lr", "momentum", "zero_grad"}


@pytest.mark.parametrize("verdict", ["leaks", "holds", "inert", "failed"])
def test_an_optimizer_that_always_does_the_same_has_no_row(trials, verdict):
    assert importance(trials(*({"lr": lr, "verdict": verdict} for lr in (1.0, 2.0)))).empty


def test_all_optimizers_come_first_where_there_are_several(trials):
    adam = [row | {"optimizer": "Adam"} | (HOLD if row["momentum"] == 0 else {}) for row in SGD]
    rows = importance(trials(*SGD, *adam))
    assert list(dict.fromkeys(rows["optimizer"])) == [ALL, "Adam", "SGD"]
    assert by_axis(rows, "optimizer", ALL).keys() == {"optimizer", "lr", "momentum", "zero_grad"}
    assert set(rows.loc[rows["optimizer"] == ALL, "trials"]) == {len(SGD) * 2}


def test_the_axes_of_the_exact_rule_are_marked(trials):
    rows = importance(trials(*SGD, *(row | {"optimizer": "Adam"} for row in SGD)))
    assert by_axis(rows, "in_rule") == {"lr": "no", "momentum": "no", "zero_grad": "yes"}
    assert pd.isna(list(by_axis(rows, "in_rule", ALL).values())).all()


def test_no_rule_is_marked_where_it_is_not_exact(trials):
    disagreeing = SGD[-1] | HOLD | {"seed": 1}
    assert importance(trials(*SGD, disagreeing))["in_rule"].isna().all()


def test_a_searched_axis_is_cut_into_parts_and_has_no_rule(trials):
    searched = [
        {"lr": 0.001 * place, "weight_decay": decay} | (LEAK if place > 30 else HOLD)
        for place in range(1, 61)
        for decay in (0.0, 0.5)
    ]
    rows = importance(trials(*searched))
    assert by_axis(rows, "values") == {"lr": table.MOST_VALUES, "weight_decay": 2}
    assert by_axis(rows, "fanova")["lr"] > 0.9
    assert rows["in_rule"].isna().all()


def test_an_axis_that_does_not_apply_is_a_value_of_its_own(trials):
    null = [{"lr": lr, "momentum": m} | (HOLD if m else LEAK) for lr in (1, 2) for m in (None, 0.9)]
    assert by_axis(importance(trials(*null)), "fanova")["momentum"] > 0.8


def test_seeds_are_folded_and_counted(trials):
    rows = importance(trials(*(row | {"seed": seed} for row in SGD for seed in range(3))))
    assert set(rows["settings"]) == {len(SGD)}
    assert set(rows["trials"]) == {len(SGD) * 3}


def test_the_order_of_the_trials_changes_nothing(trials, monkeypatch):
    monkeypatch.setattr(table, "MOST_SETTINGS_OF_ONE", 15)
    frame = trials(*SGD)
    rows = importance(frame)
    assert set(rows["settings"]) == {15}
    pd.testing.assert_frame_equal(rows, importance(frame[::-1].reset_index(drop=True)))


def test_fanova_weighs_the_values_of_an_axis_alike():
    design = tuple(product(range(4), range(3), range(20)))
    shares = fanova(design, tuple(float(a == 0) + float(b == 0) for a, b, _ in design))
    variances = np.array([1 / 4 * 3 / 4, 1 / 3 * 2 / 3, 0])  # of what each axis adds, uniformly
    assert shares.alone == pytest.approx(variances / variances.sum(), abs=0.03)


def test_ped_anova_of_axes_that_do_not_differ_is_zero():
    design = ((0, 0), (0, 1), (1, 0), (1, 1))
    assert ped_anova(design, (1.0, 0.0, 0.0, 1.0), 2) == (0.0, 0.0)


def test_neither_torch_nor_optuna_is_imported_before_it_is_needed():
    code = """if True:
        import sys, analysis.tables
        assert not {"optuna", "sklearn", "torch"} & sys.modules.keys()
        analysis.tables.axis_shares.fanova(((0, 0), (0, 1), (1, 0), (1, 1)), (0.0, 0.0, 0.0, 1.0))
        assert not {"torch", "sweep"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
