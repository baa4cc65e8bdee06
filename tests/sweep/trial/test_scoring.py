"""A score is taken after training, and nothing of the training can tell."""

import dataclasses

import pytest
import torch
from torch import nn

from sweep.errors import WorkloadError
from sweep.trial.groups import grouped
from sweep.trial.scoring import score_of
from sweep.trial.trial import run_stack, run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import ZeroGrad
from sweep.workloads.workload import Workload


def digits(seed, workload="digits"):
    setting = Setting("Adam", 0.01, 0.1, 0.9, ZeroGrad.ZERO, "after:5", seed=seed)
    return PlannedTrial(setting, workload, 12)


def scored_by(score):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2))
    return Workload(
        model, torch.ones(3, 2), lambda model, data, step: None, ("0.weight",), None, score
    )


@pytest.mark.parametrize("workload", ["digits", "digits-pretrained"])
def test_a_stack_of_seeds_has_the_outcomes_of_each_alone(workload):
    trials = [digits(seed, workload) for seed in range(3)]
    (group,) = grouped(trials)
    stacked = list(run_stack(group))
    alone = [run_trial(planned) for planned in trials]
    assert [it.measurement for it in stacked] == [it.measurement for it in alone]
    assert [it.causes for it in stacked] == [it.causes for it in alone]
    assert all(0 < it.measurement.score <= 1 for it in stacked)


@pytest.mark.parametrize("workload", ["digits", "digits-pretrained"])
def test_a_traced_trial_is_scored_while_it_trains_and_trains_the_same_bits(workload):
    traced = list(run_stack([digits(seed, workload) for seed in range(2)], trace=True))
    plain = list(run_stack([digits(seed, workload) for seed in range(2)]))
    assert [it.measurement for it in traced] == [it.measurement for it in plain]
    assert [it.causes for it in traced] == [it.causes for it in plain]
    for outcome in traced:
        scored = [it.step for it in outcome.steps if it.score is not None]
        assert scored == [9]
    begun = run_trial(dataclasses.replace(digits(0, workload), steps=10))
    assert traced[0].steps[9].score == begun.measurement.score


@pytest.mark.parametrize(("steps", "times"), [(10, 1), (12, 2), (20, 2)])
def test_no_step_of_a_traced_trial_is_scored_twice(monkeypatch, steps, times):
    asked = []
    monkeypatch.setattr(
        "sweep.trial.training.score_of", lambda workload: asked.append(workload) or 0.5
    )
    planned = dataclasses.replace(digits(0), steps=steps)
    assert run_trial(planned, trace=True).measurement.score == 0.5
    assert len(asked) == times


def test_a_traced_trial_without_a_score_has_none_on_any_step():
    (outcome,) = run_stack([dataclasses.replace(digits(0), workload="small")], trace=True)
    assert {it.score for it in outcome.steps} == {None}


def test_a_workload_without_a_score_has_none():
    assert score_of(scored_by(None)) is None
    assert score_of(scored_by(lambda model, data: float("nan"))) is None


def test_the_score_meets_a_model_that_is_evaluated_and_leaves_it_as_it_was():
    seen = []

    def score(model, data):
        seen.append((model.training, model[1].training, torch.is_grad_enabled()))
        torch.rand(5)
        return model(data).sum()

    workload = scored_by(score)
    workload.model[1].eval()
    before = torch.get_rng_state()
    assert isinstance(score_of(workload), float)
    assert seen == [(False, False, False)]
    assert workload.model.training
    assert not workload.model[1].training
    assert torch.equal(before, torch.get_rng_state())


def test_a_score_that_is_no_number_is_told():
    with pytest.raises(WorkloadError, match="score returned str"):
        score_of(scored_by(lambda model, data: "good"))
