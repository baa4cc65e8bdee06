"""Grads of the frozen layer that change how the other parameters move."""

from dataclasses import replace

import planted_workloads
import pytest

from sweep.optimizers import registry
from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting, canonical_json
from sweep.values.words import Freeze, ZeroGrad


def plan(optimizer, zero_grad, *, freeze=Freeze.DETACH, weight_decay=0.0):
    """A trial of the small workload with the optimizer's own lr and momentum."""
    entry = registry.lookup(optimizer)
    setting = Setting(
        optimizer,
        lr=registry.default(entry, "lr"),
        weight_decay=weight_decay if entry.weight_decay else None,
        momentum=registry.default(entry, "momentum"),
        zero_grad=zero_grad,
        freeze=freeze,
    )
    return PlannedTrial(setting, "small", 20, canonical_json(dict(entry.options)))


@pytest.mark.parametrize("zero_grad", [ZeroGrad.ZERO, ZeroGrad.NEVER])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "Muon", "ASGD", "Adafactor", "Rprop"])
def test_an_optimizer_that_treats_each_parameter_by_itself_does_not(optimizer, zero_grad):
    assert not run_trial(plan(optimizer, zero_grad, weight_decay=0.1)).sideways


@pytest.mark.parametrize(
    ("optimizer", "zero_grad"),
    [
        ("LBFGS", ZeroGrad.NEVER),
        ("pytorch_optimizer.prodigy", ZeroGrad.ZERO),
        ("pytorch_optimizer.dadaptadam", ZeroGrad.ZERO),
        ("pytorch_optimizer.dadaptsgd", ZeroGrad.ZERO),
        ("pytorch_optimizer.dadaptlion", ZeroGrad.ZERO),
    ],
)
def test_an_optimizer_with_a_global_step_size_does(optimizer, zero_grad):
    assert run_trial(plan(optimizer, zero_grad)).sideways


def test_lbfgs_reads_zeros_as_it_reads_none():
    assert not run_trial(plan("LBFGS", ZeroGrad.ZERO)).sideways


def test_a_layer_with_an_optimizer_of_its_own_cannot():
    planned = plan("pytorch_optimizer.prodigy", ZeroGrad.ZERO, freeze=Freeze.OWN_OPTIMIZER)
    assert not run_trial(planned).sideways


def test_looking_past_the_last_step_is_not_tried():
    assert run_trial(replace(plan("SGD", ZeroGrad.ZERO), steps=2)).sideways is False


def test_a_training_that_never_repeats_leaves_it_open():
    planted_workloads.BUILT_ONCE.clear()
    setting = Setting("pytorch_optimizer.prodigy", 1.0, 0.0, 0.9, ZeroGrad.NEVER)
    drifting = run_trial(PlannedTrial(setting, "planted_workloads:only_once", 6))
    assert drifting.error is None
    assert drifting.sideways is True, "a copy of it does not build it anew"
    setting = Setting("planted:KnowsTheTime", 0.1, 0.0, None, ZeroGrad.ZERO)
    assert run_trial(PlannedTrial(setting, "small", 6)).sideways is None


def test_a_step_size_that_a_class_keeps_for_all_its_kind_is_told_from_others():
    setting = Setting("planted:SharedByAll", 0.1, 0.0, None, ZeroGrad.ZERO)
    assert run_trial(PlannedTrial(setting, "small", 6)).sideways is True
