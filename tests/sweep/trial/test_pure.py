"""A frozen part that is said to be pure: the same outcomes, fewer computations, lies caught."""

from dataclasses import replace

import planted_workloads
import pytest

from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Freeze, Verdict, ZeroGrad

STEPS = 40


def trial(workload, optimizer="Adam", schedule="after:3", zero_grad="none", freeze="detach"):
    setting = Setting(optimizer, 0.01, 0.1, 0.9, ZeroGrad(zero_grad), schedule, Freeze(freeze))
    return run_trial(PlannedTrial(setting, f"planted_workloads:{workload}", STEPS))


def what_it_showed(outcome):
    """An outcome without its workload's name and the clock."""
    planned = replace(outcome.planned, workload="", known=None)
    finished = outcome.finished_at.min
    return replace(outcome, planned=planned, train_seconds=0.0, finished_at=finished)


@pytest.mark.parametrize("freeze", Freeze)
@pytest.mark.parametrize("zero_grad", ZeroGrad)
@pytest.mark.parametrize("schedule", ["alternate", "after:3", "always"])
def test_an_outcome_is_the_same_bit_for_bit_whether_it_is_said_or_not(freeze, zero_grad, schedule):
    said, unsaid = (
        trial(workload, schedule=schedule, zero_grad=zero_grad, freeze=freeze)
        for workload in ("counting_pure", "counting")
    )
    assert said.error is None
    assert what_it_showed(said) == what_it_showed(unsaid)


def computed(workload, **how):
    planted_workloads.Counting.computed = 0
    assert trial(workload, **how).error is None
    return planted_workloads.Counting.computed


@pytest.mark.parametrize("freeze", ["detach", "no_grad"])
def test_a_layer_that_keeps_still_is_computed_once_and_on_drawn_steps(freeze):
    assert computed("counting", schedule="always", freeze=freeze) == STEPS
    assert 2 < computed("counting_pure", schedule="always", freeze=freeze) < STEPS / 4


def test_it_is_computed_on_every_step_where_it_moves_or_gradients_reach_it():
    leaking = {"zero_grad": "zero", "schedule": "after:3"}
    assert computed("counting_pure", **leaking) == computed("counting", **leaking)
    attached = {"freeze": "requires_grad", "schedule": "always"}
    assert computed("counting_pure", **attached) == computed("counting", **attached) == STEPS


@pytest.mark.parametrize(
    ("workload", "did"),
    [
        ("drawing", "its _Drawing drew from a random generator"),
        ("remembering", "its _Remembering gave other bits for the same weights and input"),
        ("writing", "its _Writing changed a buffer of its own"),
    ],
)
def test_an_impure_part_that_says_it_is_pure_fails_its_trial(workload, did):
    outcome = trial(workload)
    assert outcome.verdict is Verdict.FAILED
    assert f"says that its frozen part is pure, and {did}" in outcome.error
    assert "Without pure=True it is computed on every step" in outcome.error


def test_an_input_that_is_written_past_torch_is_another_input():
    said, unsaid = (trial(name, schedule="always") for name in ("written_to_pure", "written_to"))
    assert said.error is None
    assert what_it_showed(said) == what_it_showed(unsaid)
