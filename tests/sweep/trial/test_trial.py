"""One trial: its verdict, what it records, and that nothing but its plan decides it."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest
import torch

from sweep.trial.training import Training
from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Freeze, GradState, Verdict, ZeroGrad

ADAM = Setting("Adam", lr=0.1, weight_decay=0.0, momentum=0.9, zero_grad=ZeroGrad.ZERO)
SGD = Setting("SGD", lr=0.1, weight_decay=0.0, momentum=0.0, zero_grad=ZeroGrad.ZERO)


def trial(setting, *, steps=20, options="{}", trace=False):
    return run_trial(PlannedTrial(setting, "small", steps, options), trace=trace)


def what_it_showed(outcome):
    """An outcome without the clock."""
    return replace(outcome, train_seconds=0.0, finished_at=outcome.finished_at.min)


def test_a_leak_is_counted_from_the_first_frozen_step():
    outcome = trial(ADAM)
    assert outcome.verdict is Verdict.LEAKS
    assert outcome.moved is True
    assert outcome.measurement.first_leak_step == 1
    assert outcome.measurement.frozen_steps == 10
    assert outcome.measurement.leaked_steps == 10
    assert outcome.optimizer_package == f"torch {torch.__version__.split('+')[0]}"


def test_a_trial_that_holds_has_no_causes():
    outcome = trial(SGD)
    assert outcome.verdict is Verdict.HOLDS
    assert outcome.moved is False
    assert outcome.causes is None
    assert outcome.measurement.max_drift == outcome.measurement.total_drift == 0.0


def test_a_layer_that_never_moves_while_attached_proves_nothing():
    outcome = trial(replace(SGD, lr=0.0))
    assert outcome.verdict is Verdict.INERT
    assert outcome.measurement.drift_ratio is None


def test_a_control_that_is_never_frozen_holds():
    outcome = trial(replace(ADAM, schedule="never"))
    assert outcome.verdict is Verdict.HOLDS
    assert outcome.measurement.frozen_steps == 0


def test_a_layer_frozen_on_every_step_holds_and_has_no_ratio():
    outcome = trial(replace(ADAM, schedule="always", weight_decay=0.5))
    assert outcome.verdict is Verdict.HOLDS
    assert outcome.measurement.attached_motion == 0.0
    assert outcome.measurement.drift_ratio is None


@pytest.mark.parametrize(("schedule", "frozen_at"), [("always", 0), ("after:5", 5)])
def test_the_norm_is_that_of_the_layer_when_it_is_first_frozen(schedule, frozen_at):
    setting = replace(ADAM, schedule=schedule)
    training = Training(PlannedTrial(setting, "small", 20))
    training.advance(0, frozen_at)
    norm = training.frozen_parameters["layer1.weight"].double().norm().item()
    assert trial(setting).measurement.frozen_norm == pytest.approx(norm, rel=1e-12)


def test_a_layer_that_is_never_frozen_has_no_norm_then():
    assert trial(replace(ADAM, schedule="never")).measurement.frozen_norm is None


def test_divergence_is_kept_apart_from_the_verdict():
    outcome = trial(replace(SGD, lr=1e38))
    assert outcome.measurement.diverged
    assert outcome.verdict is Verdict.HOLDS
    assert outcome.measurement.final_loss is None


def test_nan_parameters_do_not_count_as_movement():
    outcome = trial(replace(ADAM, lr=1e30), trace=True)
    assert outcome.measurement.diverged
    late = [record for record in outcome.steps if record.step > 5]
    assert not any(record.moved for record in late)
    assert all(record.loss is None for record in late)


def test_what_an_optimizer_raises_becomes_a_failed_outcome():
    outcome = trial(SGD, options='{"nesterov":true}')
    assert outcome.verdict is Verdict.FAILED
    assert outcome.moved is None
    assert outcome.measurement is None
    assert outcome.error == ("ValueError: Nesterov momentum requires a momentum and zero dampening")


@pytest.mark.parametrize(
    ("optimizer", "error"),
    [
        ("RaisesWithoutWords", "_NoWordsError"),
        ("RaisesAtLength", "ValueError: very very very"),
        ("RaisesPastExceptions", "LeavesEverything: out"),
    ],
)
def test_whatever_an_optimizer_raises_is_a_failed_trial_named_by_its_type(optimizer, error):
    outcome = trial(Setting(f"planted:{optimizer}", 0.1, 0.0, None))
    assert outcome.verdict is Verdict.FAILED
    assert outcome.error.startswith(error)
    assert len(outcome.error) < 2100


def test_a_trace_has_a_record_for_every_step():
    outcome = trial(ADAM, trace=True)
    assert [record.step for record in outcome.steps] == list(range(20))
    assert [record.frozen for record in outcome.steps] == [False, True] * 10
    assert {r.grad for r in outcome.steps if r.frozen} == {GradState.ZERO}
    assert {r.grad for r in outcome.steps if not r.frozen} == {GradState.NONZERO}
    assert trial(ADAM).steps == ()


@pytest.mark.parametrize(
    ("zero_grad", "grad"),
    [(ZeroGrad.NONE, "none"), (ZeroGrad.ZERO, "zero"), (ZeroGrad.NEVER, "nonzero")],
)
def test_the_optimizer_meets_the_grad_that_the_axis_leaves(zero_grad, grad):
    outcome = trial(replace(SGD, zero_grad=zero_grad), trace=True)
    assert {record.grad for record in outcome.steps if record.frozen} == {grad}


def test_an_optimizer_with_a_closure_is_probed_around_its_whole_step():
    lbfgs = Setting("LBFGS", lr=1.0, weight_decay=None, momentum=None, zero_grad=ZeroGrad.NONE)
    outcome = trial(lbfgs, options='{"max_iter":4}', trace=True)
    assert outcome.verdict is Verdict.LEAKS
    assert {record.grad for record in outcome.steps if record.frozen} == {"none"}
    assert outcome.causes.despite_none


def test_options_reach_the_constructor():
    plain = trial(ADAM)
    amsgrad = trial(ADAM, options='{"amsgrad":true}')
    beta2 = trial(ADAM, options='{"betas[1]":0.5}')
    drifts = {each.measurement.total_drift for each in (plain, amsgrad, beta2)}
    assert len(drifts) == 3


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_plan_gives_the_same_outcome_whatever_ran_before(seed):
    setting = replace(ADAM, seed=seed, schedule="after:5")
    first = trial(setting, trace=True)
    trial(replace(ADAM, seed=9))
    torch.manual_seed(123)
    torch.rand(7)
    torch.set_num_threads(2)
    assert what_it_showed(trial(setting, trace=True)) == what_it_showed(first)
    assert torch.get_num_threads() == 2


def test_another_seed_gives_another_outcome():
    assert trial(ADAM).measurement != trial(replace(ADAM, seed=1)).measurement


def test_another_process_gives_the_same_outcome():
    plan = PlannedTrial(replace(ADAM, freeze=Freeze.LR_ZERO), "article", 6)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(run_trial, plan).result()
    assert what_it_showed(there) == what_it_showed(run_trial(plan))


def test_a_trial_leaves_the_callers_generator_alone_while_building_its_workload():
    from sweep.workloads.built_in import build_workload

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_workload("small", seed=1)
    assert torch.equal(torch.rand(3), expected)
