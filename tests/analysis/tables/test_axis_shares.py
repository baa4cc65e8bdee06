import subprocess
import sys
from itertools import product

import numpy as np
import pandas as pd
import pytest

from analysis.tables import axis_shares
from analysis.tables.axis_shares import OVER_ALL, fanova, importance, overall_effects

LEAK, HOLD = {"verdict": "leaks", "drift_ratio": 0.5}, {"verdict": "holds"}
SGD = [
    {"zero_grad": word, "lr": lr, "momentum": momentum}
    | (LEAK if word == "never" else HOLD)
    | {"drift_ratio": lr if word == "never" else 0.0}
    for word, lr, momentum in product(("none", "zero", "never"), (0.1, 0.2, 0.3, 0.4), (0.0, 0.9))
]
ADAM = [  # of the preset article: exactly a quarter and a half
    {"zero_grad": word, "schedule": schedule}
    | (LEAK if schedule == "alternate" and word != "none" else HOLD)
    for word, schedule in product(("none", "zero", "never"), ("alternate", "always"))
]
SEARCH = {"sweep_kind": "search"}


def by_axis(rows, column, optimizer="SGD"):
    """The values of ``column`` in the rows of ``optimizer``, by axis."""
    chosen = rows[rows["optimizer"] == optimizer]
    return dict(zip(chosen["axis"], chosen[column], strict=True))


@pytest.fixture(scope="module")
def sgd(trials):
    return importance(trials(*SGD))


def test_the_shares_of_a_grid_are_exact(trials):
    rows = importance(trials(*ADAM))
    assert by_axis(rows, "main_effect") == {"zero_grad": 0.25, "schedule": 0.5}
    assert by_axis(rows, "total_effect") == {"zero_grad": 0.5, "schedule": 0.75}
    assert set(rows["together"]) == {0.25}
    assert rows["explained"].isna().all()


def test_the_axis_that_decides_has_all_of_the_importance(sgd):
    assert by_axis(sgd, "main_effect") == {"lr": 0.0, "momentum": 0.0, "zero_grad": 1.0}
    assert by_axis(sgd, "total_effect") == {"lr": 0.0, "momentum": 0.0, "zero_grad": 1.0}
    assert sgd["together"].max() == 0


def test_what_axes_make_only_together_is_told(trials):
    xor = [
        {"lr": lr, "momentum": momentum} | (LEAK if (lr > 0.2) != (momentum > 0) else HOLD)
        for lr, momentum in product((0.1, 0.2, 0.3, 0.4), (0.0, 0.9))
    ]
    rows = importance(trials(*xor))
    assert set(rows["together"]) == {1.0}
    assert by_axis(rows, "main_effect") == {"lr": 0.0, "momentum": 0.0}


def test_settings_that_are_no_full_product_have_no_main_effects_that_would_mix_axes(trials):
    """As in article, where the rate 0.001 is AdamW's alone and says nothing of rates."""
    union = [
        LEAK | {"lr": 1.0, "momentum": 0.9},
        HOLD | {"lr": 1.0, "momentum": 0.0},
        LEAK | {"lr": 0.001, "momentum": 0.5},
    ]
    rows = importance(trials(*union))
    assert rows["main_effect"].isna().all()
    assert by_axis(rows, "total_effect")["momentum"] == 1.0
    assert pd.isna(by_axis(rows, "total_effect")["lr"])


def test_the_worst_drift_is_told_among_the_leaking_settings(trials):
    far = [
        {"lr": lr, "momentum": momentum, **LEAK, "drift_ratio": lr if lr < 2 else float("inf")}
        for lr, momentum in product((0.1, 0.2, 0.3, 0.4, 0.5, 2.0), (0.0, 0.9))
    ]
    rows = importance(trials(*far))
    assert by_axis(rows, "worst_drift") == {"lr": 1.0, "momentum": 0.0}
    assert rows[["main_effect", "total_effect", "explained", "together"]].isna().all(axis=None)


def test_fewer_than_ten_leaking_settings_have_no_worst_drift(sgd):
    assert sgd["worst_drift"].isna().all()


def test_an_axis_with_one_value_has_no_row(sgd):
    assert set(sgd["axis"]) == {"lr", "momentum", "zero_grad"}


@pytest.mark.parametrize("verdict", ["leaks", "holds", "inert", "failed"])
def test_an_optimizer_that_always_does_the_same_has_no_row(trials, verdict):
    assert importance(trials(*({"lr": lr, "verdict": verdict} for lr in (1.0, 2.0)))).empty


def test_all_optimizers_come_first_where_there_are_several(trials):
    adam = [row | {"optimizer": "Adam"} | (HOLD if row["momentum"] == 0 else {}) for row in SGD]
    frame = trials(*SGD, *adam)
    rows = importance(frame)
    assert list(dict.fromkeys(rows["optimizer"])) == [OVER_ALL, "Adam", "SGD"]
    assert by_axis(rows, "axis", OVER_ALL).keys() == {"optimizer", "lr", "momentum", "zero_grad"}
    assert set(rows.loc[rows["optimizer"] == OVER_ALL, "trials"]) == {len(SGD) * 2}
    effects = by_axis(rows, "total_effect", OVER_ALL)
    assert overall_effects(frame) == effects
    assert next(iter(overall_effects(frame))) == max(effects, key=effects.get)


def test_the_axes_of_the_exact_rule_are_marked(trials):
    rows = importance(trials(*SGD, *(row | {"optimizer": "Adam"} for row in SGD)))
    assert by_axis(rows, "in_rule") == {"lr": "no", "momentum": "no", "zero_grad": "yes"}
    assert pd.isna(list(by_axis(rows, "in_rule", OVER_ALL).values())).all()


def test_no_rule_is_marked_where_it_is_not_exact(trials):
    disagreeing = SGD[-1] | HOLD | {"seed": 1}
    assert importance(trials(*SGD, disagreeing))["in_rule"].isna().all()


def test_of_searched_settings_a_forest_is_asked_and_says_what_it_explains(trials):
    searched = [
        SEARCH | {"lr": 0.001 * place, "weight_decay": decay} | (LEAK if place > 30 else HOLD)
        for place in range(1, 61)
        for decay in (0.0, 0.5)
    ]
    rows = importance(trials(*searched))
    assert by_axis(rows, "values") == {"lr": 16, "weight_decay": 2}
    assert by_axis(rows, "main_effect")["lr"] > 0.9
    assert rows["explained"].min() > 0.9
    assert rows["total_effect"].isna().all()


def test_of_searched_settings_an_axis_that_does_not_apply_is_a_value_of_its_own(trials):
    """As the momentum of Adagrad in a search over several optimizers."""
    searched = [
        SEARCH | {"lr": rate, "momentum": momentum} | (HOLD if momentum else LEAK)
        for rate in (0.1, 0.2, 0.3, 0.4)
        for momentum in (None, 0.5, 0.9)
    ]
    effects = by_axis(importance(trials(*searched)), "main_effect")
    assert effects["momentum"] > 0.9 > 0.1 > effects["lr"]


def test_a_forest_that_explains_nothing_gives_no_shares(trials):
    chance = np.random.default_rng(1)
    searched = [
        SEARCH | {"lr": rate, "weight_decay": decay} | (LEAK if leaks else HOLD)
        for rate, decay, leaks in zip(
            chance.random(40).tolist(), chance.random(40).tolist(), chance.random(40) < 0.5,
            strict=True,
        )
    ]  # fmt: skip
    rows = importance(trials(*searched))
    assert rows["explained"].max() <= 0
    assert rows["main_effect"].isna().all()


def test_an_axis_that_does_not_apply_is_a_value_of_its_own(trials):
    null = [{"lr": lr, "momentum": m} | (HOLD if m else LEAK) for lr in (1, 2) for m in (None, 0.9)]
    assert by_axis(importance(trials(*null)), "main_effect")["momentum"] == 1.0


def test_seeds_are_folded_and_counted(trials):
    rows = importance(trials(*(row | {"seed": seed} for row in SGD for seed in range(3))))
    assert set(rows["settings"]) == {len(SGD)}
    assert set(rows["trials"]) == {len(SGD) * 3}


def test_the_order_of_the_trials_changes_nothing(trials):
    frame = trials(*SGD)
    pd.testing.assert_frame_equal(importance(frame), importance(frame[::-1].reset_index(drop=True)))


def test_fanova_weighs_the_values_of_an_axis_alike():
    design = pd.DataFrame(list(product(range(4), range(3), range(20))), columns=list("abc"))
    response = (design["a"] == 0).astype(float) + (design["b"] == 0)
    shares, explained = fanova(design, response)
    variances = np.array([1 / 4 * 3 / 4, 1 / 3 * 2 / 3, 0])  # of what each axis adds, uniformly
    expected = dict(zip("abc", variances / variances.sum(), strict=True))
    assert shares == pytest.approx(expected, abs=0.03)
    assert explained > 0.9


def test_of_very_many_settings_some_are_drawn(monkeypatch):
    monkeypatch.setattr(axis_shares, "MOST_SETTINGS", 50)
    design = pd.DataFrame(list(product(range(10), range(10))), columns=list("ab"))
    response = (design["a"] > 4).astype(float)
    assert fanova(design, response) == fanova(design, response)
    assert fanova(design, response)[0]["a"] > 0.8


def test_neither_torch_nor_optuna_is_imported_before_it_is_needed():
    code = """if True:
        import sys, pandas as pd, analysis.tables
        from analysis.tables.axis_shares import fanova
        heavy = {"optuna", "sklearn", "scipy", "torch"}
        assert not heavy & sys.modules.keys()
        design = pd.DataFrame({"a": [0, 0, 1, 1] * 5, "b": [0, 1] * 10})
        fanova(design, (design["a"] > 0).astype(float))
        assert not {"torch", "sweep"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
