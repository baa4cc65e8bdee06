"""A step reached by a copy is the trial's own, or the copy is forgotten and it is trained anew."""

import pytest
import torch

from sweep.optimizers import registry
from sweep.trial.causes import UnexplainedError
from sweep.trial.diary import Witness
from sweep.trial.moment import copies
from sweep.trial.outside import fresh_modes, undisturbed
from sweep.trial.reach import Reach, Snapshot, copied
from sweep.trial.replay import Replay, Reruns
from sweep.trial.stack import digests
from sweep.trial.training import Training
from sweep.values.setting import PlannedTrial, Setting, canonical_json
from sweep.values.words import ZeroGrad

STEP = 3


@pytest.fixture(autouse=True)
def as_a_trial_runs():
    with fresh_modes():
        yield


def planned(optimizer, workload="small", **changes):
    momentum = None if ":" in optimizer else 0.9
    setting = Setting(optimizer, 0.1, 0.0, momentum, **{"zero_grad": ZeroGrad.ZERO} | changes)
    options = canonical_json(dict(registry.lookup(optimizer).options))
    return PlannedTrial(setting, workload, 6, options)


def reached(trial):
    """A way to the step by a copy made two steps before it, and what the trial saw of the step."""
    training = Training(trial)
    training.run(0)
    first_end = digests(training.workload.model.parameters())
    training.clear_grads()
    training.ready(1)
    snapshot = Snapshot.of(training)
    training.step()
    training.clear_grads()
    training.advance(2, STEP)
    before = copies(training.frozen_parameters)
    training.run(STEP)
    return Reach(trial, Training, snapshot, first_end), Witness.of(training, before)


COPIED = ["SGD", "Adam", "Muon", "planted:Momentum", "planted:MomentumInGroup", "planted:Anchor",
          "planted:MomentumInAttribute", "planted:NoisyDrift", "planted:GradsInAttribute",
          "pytorch_optimizer.prodigy", "planted:MomentumWithClosure"]  # fmt: skip


@pytest.mark.parametrize("optimizer", COPIED)
@pytest.mark.parametrize("zero_grad", ["zero", "never"])
def test_a_copy_goes_on_as_the_trial_did(optimizer, zero_grad):
    reach, witness = reached(planned(optimizer, zero_grad=ZeroGrad(zero_grad)))
    training = reach.at(STEP)
    training.step()
    assert digests(training.workload.model.parameters()) == witness.after
    assert reach.has_copy


@pytest.mark.parametrize("workload", ["planted_workloads:noisy", "planted_workloads:sparse"])
def test_a_copy_has_the_buffers_generators_and_sparse_grads_of_the_trial(workload):
    optimizer = "SparseAdam" if "sparse" in workload else "Adam"
    reach, witness = reached(planned(optimizer, workload, zero_grad=ZeroGrad.NEVER))
    training = reach.at(STEP)
    training.step()
    assert digests(training.workload.model.parameters()) == witness.after


@pytest.mark.parametrize(
    "optimizer",
    [
        "planted:MomentumOfParameters",
        "planted:KeepsNoCopy",
        "planted:LosesInCopies",
        "pytorch_optimizer.magma",  # keeps its state by id(parameter)
    ],
)
def test_a_copy_that_does_not_repeat_the_trial_is_forgotten(optimizer):
    reach, witness = reached(planned(optimizer))
    assert Replay(Reruns(reach, witness)).there()
    assert not reach.has_copy


@pytest.mark.parametrize(
    ("optimizer", "workload"),
    [("planted:MomentumOfAll", "small"), ("Adam", "planted_workloads:drifting")],
)
def test_a_copy_of_what_does_not_begin_alike_explains_nothing(optimizer, workload):
    with undisturbed(optimizer):  # what it keeps in its module is no other test's
        reach, witness = reached(planned(optimizer, workload))
        with pytest.raises(UnexplainedError, match="the replay did not repeat the trial's own"):
            Replay(Reruns(reach, witness)).there()
    assert not reach.has_copy


def test_a_copy_shares_its_data_with_the_trial_and_nothing_else():
    training = Training(planned("Adam"))
    training.advance(0, 2)
    twin, before = copied(training), digests(training.workload.model.parameters())
    twin.advance(2, 4)
    assert twin.workload.data is training.workload.data
    assert digests(training.workload.model.parameters()) == before
    held = {id(p) for p in training.workload.model.parameters()}
    assert held.isdisjoint(id(p) for g in twin.main.param_groups for p in g["params"])
    assert set(twin.main.state) <= set(twin.workload.model.parameters())


def test_a_stale_grad_that_the_optimizer_also_holds_stays_one_tensor():
    training = Training(planned("planted:GradsInAttribute"))
    training.advance(0, 2)
    twin = copied(training)
    (held,) = (
        g for p, g in twin.main.grads.items() if p is twin.frozen_parameters["layer1.weight"]
    )
    assert held is twin.frozen_parameters["layer1.weight"].grad


def ready(optimizer, workload="small"):
    """A training that is ready for its first step."""
    setting = Setting(optimizer, 0.1, 0.0, None, ZeroGrad.NONE)
    training = Training(PlannedTrial(setting, workload, 4))
    training.ready(0)
    return training


def test_a_large_model_is_not_copied():
    assert Snapshot.of(ready("SGD", "planted_workloads:wide")) is None


def test_an_optimizer_that_has_hooks_on_grads_is_not_copied():
    assert Snapshot.of(ready("planted:ActsInBackward")) is None
    assert Snapshot.of(ready("planted:Momentum")) is not None


@pytest.mark.filterwarnings("ignore:Using backward")  # what adahessian asks for
def test_a_grad_with_a_graph_is_not_copied():
    training = ready("SGD")
    parameter = training.frozen_parameters["layer1.weight"]
    parameter.grad = None
    parameter.square().sum().backward(create_graph=True)
    assert Snapshot.of(training) is None
    parameter.grad = torch.zeros_like(parameter)
    assert Snapshot.of(training) is not None
