"""Recorded trials as parameters and user attributes of a study, made by hand."""

import math
from datetime import UTC, datetime

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from sweep.publishing.published import axis_distributions, axis_parameters, user_attributes
from sweep.searching.objective import Objective
from sweep.searching.study import frozen_trial, quiet_optuna
from sweep.values.outcome import Environment

ROW = {
    "id": 7,
    "fingerprint": "f00",
    "workload": "small",
    "steps": 20,
    "options": "{}",
    "optimizer": "SGD",
    "lr": 0.01,
    "weight_decay": 0.5,
    "momentum": 0.9,
    "zero_grad": "zero",
    "schedule": "alternate",
    "freeze": "detach",
    "seed": 0,
    "optimizer_package": "torch 2.13.0",
    "verdict": "leaks",
    "causes": "decay, history",
    "unexplained": None,
    "score": None,
    "frozen_norm": 2.5,
    "frozen_steps": 10,
    "leaked_steps": 9,
    "first_leak_step": 1,
    "max_drift": 0.25,
    "total_drift": 2.5,
    "attached_motion": 5.0,
    "drift_ratio": 0.5,
    "initial_loss": 1.5,
    "final_loss": 1.0,
    "diverged": False,
    "by_history": True,
    "by_decay": True,
    "by_gradient": False,
    "by_intrinsic": False,
    "despite_none": False,
    "sideways": False,
    "train_seconds": 2.0,
    "error": None,
    "proposal": None,
    "finished_at": datetime(2026, 1, 2, tzinfo=UTC),
}
OTHER = ROW | {"optimizer": "Adagrad", "lr": 1.0, "weight_decay": 0.0, "momentum": None, "seed": 3}
DRIFT = [Objective.DRIFT_RATIO]
HERE = Environment("2.13.0", "3.11.9", "Linux", "cpu", 1, "0.1.0")


def attributes(row):
    return user_attributes(row, HERE)


def test_axes_become_distributions_that_hold_every_value():
    found = axis_distributions([ROW, OTHER])
    assert found["optimizer"] == CategoricalDistribution(["SGD", "Adagrad"])
    assert found["lr"] == FloatDistribution(0.01, 1.0, log=True)
    assert found["weight_decay"] == FloatDistribution(0.0, 0.5)
    assert found["momentum"] == FloatDistribution(0.9, 0.9)
    assert found["seed"] == IntDistribution(0, 3)
    assert list(found) == [
        *("optimizer", "lr", "weight_decay", "momentum"),
        *("zero_grad", "schedule", "freeze", "seed"),
    ]


def test_an_axis_that_does_not_apply_is_no_parameter():
    assert "momentum" not in axis_parameters(OTHER)
    assert "momentum" not in axis_distributions([OTHER])


@pytest.mark.parametrize(
    ("changed", "state", "value"),
    [
        ({}, TrialState.COMPLETE, [0.5]),
        ({"drift_ratio": None}, TrialState.PRUNED, None),
        ({"verdict": "failed", "diverged": None, "error": "boom"}, TrialState.FAIL, None),
    ],
    ids=["ranked", "no drift_ratio", "failed"],
)
def test_a_study_takes_the_trial_with_its_state_and_value(changed, state, value):
    rows = [ROW | changed, OTHER]
    kinds = axis_distributions(rows)
    with quiet_optuna():
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            frozen_trial(row, DRIFT, {}, axis_parameters(row), kinds, user_attrs=attributes(row))
            for row in rows
        )
    first, second = study.trials
    assert (first.state, first.values) == (state, value)
    assert first.params == axis_parameters(ROW)
    assert second.params["optimizer"] == "Adagrad"
    assert first.user_attrs == attributes(ROW | changed)
    assert (first.datetime_complete - first.datetime_start).total_seconds() == 2.0


def test_attributes_name_the_causes_of_a_leak():
    assert attributes(ROW)["causes"] == ["by_history", "by_decay"]
    assert attributes(ROW)["cause_sets"] == "decay, history"
    assert attributes(ROW | {"verdict": "holds", "by_history": None})["causes"] is None
    assert attributes(ROW | {"final_loss": math.nan})["final_loss"] is None
    assert attributes(ROW)["finished_at"] == "2026-01-02T00:00:00+00:00"
    assert (attributes(ROW)["trial"], attributes(ROW)["torch"]) == (7, "2.13.0")
    assert set(attributes(ROW)) & {"id", "moved", "by_history", "optimizer", "proposal"} == set()
