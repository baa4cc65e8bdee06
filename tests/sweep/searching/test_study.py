"""Recorded trials as Optuna's, on real databases."""

import math
from datetime import UTC

import optuna
import pytest

from sweep.errors import NotThereError
from sweep.searching.objective import Objective, values
from sweep.searching.study import quiet_optuna

ROW = {
    "verdict": "leaks",
    "leaked_steps": 9,
    "drift_ratio": 0.5,
    "final_loss": 1.0,
    "diverged": False,
}
DRIFT = [Objective.DRIFT_RATIO]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (0.5,)),
        ({"verdict": "holds", "drift_ratio": 0.0}, (0.0,)),
        ({"drift_ratio": None}, None),
        ({"drift_ratio": math.inf}, None),
        ({"drift_ratio": math.nan}, None),
        ({"diverged": True}, None),
        ({"verdict": "failed", "drift_ratio": None, "diverged": None}, None),
    ],
    ids=str,
)
def test_only_trials_that_can_be_ranked_have_values(changed, expected):
    assert values(ROW | changed, DRIFT, {}) == expected


def test_several_objectives_have_a_value_each_or_none_at_all():
    both = [Objective.LEAKED_STEPS, Objective.FINAL_LOSS]
    assert values(ROW, both, {}) == (9.0, 1.0)
    assert values(ROW | {"final_loss": None}, both, {}) is None


def test_drift_is_looked_for_upwards_and_loss_downwards():
    assert {o.value: o.direction for o in Objective} == {
        "drift_ratio": "maximize",
        "total_drift": "maximize",
        "max_drift": "maximize",
        "leaked_steps": "maximize",
        "final_loss": "minimize",
        "score": "minimize",
    }


def test_optuna_is_quiet_inside_and_as_it_was_outside():
    before = optuna.logging.get_verbosity()
    with quiet_optuna():
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
    assert optuna.logging.get_verbosity() == before


def test_rows_come_typed_in_the_order_in_which_they_finished(searched):
    rows = searched.rows()
    assert [row["finished_at"] for row in rows] == sorted(row["finished_at"] for row in rows)
    assert {type(row["diverged"]) for row in rows} == {bool}
    assert rows[0]["finished_at"].tzinfo is UTC


def test_a_sweep_that_is_not_there_is_named(searched):
    with pytest.raises(NotThereError, match="no sweep 'othr'"):
        searched.rows("othr")
