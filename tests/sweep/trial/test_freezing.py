"""Every way of freezing: what holds and what leaks, and that it works on any module."""

from collections import OrderedDict, namedtuple
from functools import cache

import pytest
import torch
from torch import nn

from sweep.errors import MisuseError, WorkloadError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.trial.freezing import WAYS, attached_forward
from sweep.trial.training import Training
from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Freeze, Verdict, ZeroGrad
from sweep.workloads.built_in import build_workload
from sweep.workloads.workload import Workload

DENSE = ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop"]
DENSE += ["Adagrad", "Adadelta", "Adafactor", "Rprop", "ASGD", "Muon", "LBFGS"]


@cache
def verdicts():
    """Of every dense optimizer of torch, way of freezing and zero_grad, with and without
    decay and momentum: the verdict, by setting."""
    axes = {
        "optimizer": DENSE,
        "lr": [0.1],
        "weight_decay": [0.0, 0.1],
        "momentum": [0.0, 0.9],
        "freeze": list(Freeze),
    }
    grid = Grid(Spec.checked({"name": "t", "workload": "small", "steps": 4, "grid": [axes]}, "t"))
    return {planned.setting: run_trial(planned).verdict for planned in grid}


def verdicts_of(freeze, *zero_grads, but=()):
    found = {
        setting: verdict
        for setting, verdict in verdicts().items()
        if setting.freeze is freeze
        and setting.zero_grad in (zero_grads or tuple(ZeroGrad))
        and setting.optimizer not in but
    }
    assert found
    return found


def twin(setting, freeze, zero_grad=None):
    """The verdict of the same setting frozen in another way."""
    changed = {axis: getattr(setting, axis) for axis in Setting.__slots__} | {"freeze": freeze}
    return verdicts()[Setting(**changed | {"zero_grad": zero_grad or setting.zero_grad})]


def test_no_setting_fails_or_is_inert():
    assert set(verdicts().values()) == {Verdict.LEAKS, Verdict.HOLDS}


@pytest.mark.parametrize("freeze", [Freeze.NO_GRAD, Freeze.REQUIRES_GRAD])
def test_keeping_gradients_out_leaks_exactly_where_detaching_does(freeze):
    for setting, verdict in verdicts_of(freeze).items():
        assert verdict is twin(setting, Freeze.DETACH), setting


def test_a_grad_set_to_none_holds_for_all_but_lbfgs():
    assert set(verdicts_of(Freeze.GRAD_NONE, but=["LBFGS"]).values()) == {Verdict.HOLDS}
    lbfgs = verdicts_of(Freeze.GRAD_NONE, but=DENSE[:-1])
    assert set(lbfgs.values()) == {Verdict.LEAKS}


def test_an_optimizer_of_its_own_holds_for_all_lbfgs_included():
    assert set(verdicts_of(Freeze.OWN_OPTIMIZER).values()) == {Verdict.HOLDS}


def test_a_grad_set_to_zero_leaks_exactly_where_zeroed_grads_do():
    for setting, verdict in verdicts_of(Freeze.GRAD_ZERO).items():
        assert verdict is twin(setting, Freeze.DETACH, ZeroGrad.ZERO), setting


def test_lr_zero_holds_for_all_but_asgd_and_rprop_which_keep_step_sizes_elsewhere():
    found = verdicts_of(Freeze.LR_ZERO)
    leaking = {setting.optimizer for setting, v in found.items() if v is Verdict.LEAKS}
    assert leaking == {"ASGD", "Rprop"}
    assert all(
        verdict is Verdict.LEAKS
        for setting, verdict in found.items()
        if setting.optimizer in leaking
    )


def test_lbfgs_has_no_lr_zero_because_it_takes_no_parameter_groups():
    assert "LBFGS" not in {setting.optimizer for setting in verdicts_of(Freeze.LR_ZERO)}


@pytest.mark.parametrize("freeze", [*Freeze])
def test_a_layer_frozen_on_every_step_without_grads_never_moves(freeze):
    setting = Setting("SGD", 0.1, 0.1, 0.9, schedule="always", freeze=freeze)
    verdict = run_trial(PlannedTrial(setting, "small", 4)).verdict
    assert verdict is (Verdict.LEAKS if freeze is Freeze.GRAD_ZERO else Verdict.HOLDS)


# Modules of every kind, each with what is frozen in it.

Pair = namedtuple("Pair", "hidden other")  # the untyped kind, too


class Answer(OrderedDict):
    """A dict with attributes, as transformers return."""

    def __getattr__(self, name):
        return self[name]


class Layer(nn.Module):
    """A linear layer whose output is wrapped."""

    def __init__(self, wrap):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(torch.tanh(self.inner(x)) * self.scale)


class Net(nn.Module):
    """Two layers; the first one's output is wrapped and unwrapped, and it may be used twice."""

    def __init__(self, wrap, unwrap, times=1):
        super().__init__()
        self.block = Layer(wrap)
        self.unwrap = unwrap
        self.head = nn.Linear(4, 1)
        self.times = times

    def forward(self, x):
        for _ in range(self.times):
            x = self.unwrap(self.block(x))
        return self.head(x)


FROZEN = ("block.inner.weight", "block.inner.bias", "block.scale")

KINDS = {
    "tensor": (lambda t: t, lambda o: o, 1),
    "tuple": (lambda t: (t, None, 3), lambda o: o[0], 1),
    "nested": (lambda t: {"a": [t, {"b": (t * 2,)}]}, lambda o: o["a"][1]["b"][0] + o["a"][0], 1),
    "namedtuple": (lambda t: Pair(t, "text"), lambda o: o.hidden, 1),
    "dict_with_attributes": (lambda t: Answer(hidden=t), lambda o: o.hidden, 1),
    "called_twice": (lambda t: t, lambda o: o, 2),
}


def squares(model, data, step):
    return model(data).square().mean()


def workload_of(kind):
    torch.manual_seed(0)
    return Workload(Net(*KINDS[kind]), torch.randn(8, 4), squares, FROZEN)


def gradients(workload, freeze):
    """Which parameters a gradient reaches on a frozen step."""
    way, frozen = WAYS[freeze], workload.frozen_parameters().values()
    optimizer = torch.optim.SGD(workload.model.parameters(), lr=0.1)
    way.begin(frozen, optimizer, "lr", True)
    way.forward(workload, 1).backward()
    way.before_step(frozen)
    return {n for n, p in workload.model.named_parameters() if p.grad is not None and p.grad.any()}


def hooks(model):
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )


BY_ITSELF = [f for f in Freeze if f not in (Freeze.LR_ZERO, Freeze.OWN_OPTIMIZER)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("freeze", BY_ITSELF)
def test_no_gradient_stays_in_a_frozen_layer_of_any_kind(freeze, kind):
    workload = workload_of(kind)
    assert gradients(workload, freeze) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("freeze", BY_ITSELF)
def test_a_frozen_forward_pass_has_the_loss_of_an_attached_one(freeze, kind):
    workload = workload_of(kind)
    assert torch.equal(WAYS[freeze].forward(workload, 1), attached_forward(workload, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("freeze", [Freeze.DETACH, Freeze.NO_GRAD])
def test_no_hook_stays_behind_and_the_next_pass_is_attached(freeze, kind):
    workload = workload_of(kind)
    WAYS[freeze].forward(workload, 1)
    assert hooks(workload.model) == 0
    assert torch.is_grad_enabled()
    attached_forward(workload, 2).backward()
    assert all(p.grad is not None for p in workload.model.parameters())


@pytest.mark.parametrize("freeze", [Freeze.DETACH, Freeze.NO_GRAD])
def test_a_forward_pass_that_raises_leaves_neither_hooks_nor_no_grad_behind(freeze):
    def breaks(_):
        raise RuntimeError("broken module")

    workload = Workload(Net(breaks, lambda o: o), torch.randn(8, 4), squares, FROZEN)
    with pytest.raises(RuntimeError, match="broken module"):
        WAYS[freeze].forward(workload, 1)
    assert torch.is_grad_enabled()
    assert hooks(workload.model) == 0


class Opaque:
    """An output that hides its tensor."""

    def __init__(self, hidden):
        self.hidden = hidden


def test_an_output_that_cannot_be_detached_is_an_error_not_a_leak():
    workload = Workload(Net(Opaque, lambda o: o.hidden), torch.randn(8, 4), squares, FROZEN)
    message = "freeze = detach .* Layer returns, .* Opaque came. .* a detached_loss, or freeze by"
    with pytest.raises(WorkloadError, match=message):
        WAYS[Freeze.DETACH].forward(workload, 1)


@pytest.mark.parametrize("freeze", [Freeze.DETACH, Freeze.NO_GRAD])
def test_a_parameter_that_the_whole_model_owns_is_refused_with_what_to_do(freeze):
    layer = Layer(lambda t: t)
    workload = Workload(layer, torch.randn(8, 4), squares, ("inner.weight", "scale"))
    message = f"freeze = {freeze} acts on .* the whole model owns one of inner.weight, scale: .*"
    with pytest.raises(WorkloadError, match=message + "freeze by requires_grad"):
        WAYS[freeze].forward(workload, 1)


@pytest.mark.parametrize("freeze", [Freeze.REQUIRES_GRAD, Freeze.GRAD_NONE, Freeze.GRAD_ZERO])
def test_a_parameter_that_the_whole_model_owns_freezes_in_the_other_ways(freeze):
    layer = Layer(lambda t: t)
    workload = Workload(layer, torch.randn(8, 4), squares, ("scale",))
    assert gradients(workload, freeze) == {"inner.weight", "inner.bias"}


@pytest.mark.parametrize("name", ["small", "article"])
def test_the_articles_own_flag_and_the_hook_give_the_same_bits(name):
    by_flag = build_workload(name, 0)
    by_hook = Workload(by_flag.model, by_flag.data, by_flag.loss, by_flag.frozen)
    grads = []
    for workload in (by_flag, by_hook):
        workload.model.zero_grad()
        loss = WAYS[Freeze.DETACH].forward(workload, 1)
        loss.backward()
        grads.append((loss.detach(), workload.model.layer2.weight.grad))
        assert workload.model.layer1.weight.grad is None
    assert all(torch.equal(one, other) for one, other in zip(*grads, strict=True))


def test_a_whole_trial_by_the_hook_has_the_bits_of_one_by_the_flag():
    ends = []
    for workload in ("small", "planted_workloads:small_without_its_flag"):
        setting = Setting("Adam", 0.1, 0.1, 0.9, zero_grad=ZeroGrad.ZERO)
        training = Training(PlannedTrial(setting, workload, 6))
        for step in range(6):
            training.begin(step)
            training.backward()
            training.step()
            training.clear_grads()
        ends.append(list(training.workload.model.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


class TestOptimizers:
    """The ways that act on optimizers."""

    def training(self, freeze, step):
        training = Training(PlannedTrial(Setting("SGD", 0.1, 0.0, 0.0, freeze=freeze), "small", 4))
        for current in range(step + 1):
            training.begin(current)
        return training

    @pytest.mark.parametrize(("step", "lr"), [(0, 0.1), (1, 0.0), (2, 0.1)])
    def test_lr_zero_takes_the_lr_of_the_layers_own_group_and_gives_it_back(self, step, lr):
        training = self.training(Freeze.LR_ZERO, step)
        assert [group["lr"] for group in training.main.param_groups] == [0.1, lr]
        assert training.main.param_groups[1]["params"] == [training.workload.model.layer1.weight]

    def test_lr_zero_takes_the_rate_by_the_key_that_the_row_names(self):
        setting = Setting("pytorch_optimizer.alig", 0.1, None, 0.0, freeze=Freeze.LR_ZERO)
        training = Training(PlannedTrial(setting, "small", 4))
        for step, rate in ((0, 0.1), (1, 0.0), (2, 0.1)):
            training.begin(step)
            assert [group["max_lr"] for group in training.main.param_groups] == [0.1, rate]

    def test_a_class_that_keeps_no_rate_in_its_groups_is_told_so(self):
        training = self.training(Freeze.LR_ZERO, 0)
        for group in training.main.param_groups:
            del group["lr"]
        with pytest.raises(MisuseError, match="SGD keeps no 'lr' in its parameter groups"):
            training.begin(1)

    def test_own_optimizer_holds_the_layer_and_the_other_one_does_not(self):
        training = self.training(Freeze.OWN_OPTIMIZER, 1)
        model = training.workload.model
        assert training.own.param_groups[0]["params"] == [model.layer1.weight]
        assert training.main.param_groups[0]["params"] == [model.layer2.weight]

    @pytest.mark.parametrize(("step", "required"), [(0, True), (1, False), (2, True)])
    def test_requires_grad_is_given_back_on_attached_steps(self, step, required):
        training = self.training(Freeze.REQUIRES_GRAD, step)
        assert training.workload.model.layer1.weight.requires_grad is required
