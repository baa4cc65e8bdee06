"""Every row whose library is installed: built, trained in a plain loop, each axis turned."""

from __future__ import annotations

import importlib.util
import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sweep.optimizers import registry
from sweep.optimizers.build import build_optimizer
from sweep.optimizers.entry import OptimizerEntry, split_address
from sweep.trial.outside import fresh_modes
from sweep.values.setting import Setting

STEPS = 20
ATTACHED_STEPS_THAT_MOVE = 3  # of ten: magma skips steps by chance, radam the first few
READ_NONE_AS_ZERO = (":LBFGS", ":DistributedMuon")
AXES = ("lr", "weight_decay", "momentum")

# The libraries' own: deprecated overloads in torch-optimizer, create_graph's reference
# cycle, and heavyball.AdamC, which says that it takes lr for max_lr.
pytestmark = pytest.mark.filterwarnings("ignore")


def _is_installed(entry: OptimizerEntry) -> bool:
    return importlib.util.find_spec(entry.target.partition(".")[0].partition(":")[0]) is not None


INSTALLED = [entry for entry in map(registry.lookup, registry.names()) if _is_installed(entry)]
RUNNING = [e for e in INSTALLED if registry.unavailable(e) is None and not e.sparse]


def _each(entries: list[OptimizerEntry]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries, ids=lambda entry: entry.name)


def _each_with(axis: str) -> pytest.MarkDecorator:
    """The rows that have ``axis``; the costly ones are marked slow."""
    costly = [e for e in RUNNING if e.collection == "heavyball" or "sphere" in e.name]
    return pytest.mark.parametrize(
        "entry",
        [
            pytest.param(entry, id=entry.name, marks=[pytest.mark.slow] * (entry in costly))
            for entry in RUNNING
            if entry.address(axis)
        ],
    )


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with fresh_modes():
        yield


class Net(nn.Module):
    def __init__(self, *, bias: bool = False) -> None:
        super().__init__()
        self.layer1 = nn.Linear(16, 8, bias=bias)
        self.layer2 = nn.Linear(8, 3, bias=bias)

    def forward(self, x: Tensor, *, frozen: bool) -> Tensor:
        hidden = self.layer1(x)
        return self.layer2(torch.relu(hidden.detach() if frozen else hidden))


@dataclass
class Run:
    moved: list[bool]  # the first layer, step by step
    weight: Tensor  # its bits at the end


def bits(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().view(torch.int32)


def build(entry, model, *, split=False, **axes):
    values = {axis: registry.default(entry, axis) for axis in AXES} | axes
    named = dict(model.named_parameters())
    groups = [{name: value} for name, value in named.items()] if split else [named]
    options = dict(entry.options)
    return build_optimizer(
        entry, groups, model, Setting(entry.name, **values), options, steps=STEPS
    )


def train(entry, *, steps=STEPS, decay_off=False, bias=False, set_to_none=True, **axes) -> Run:
    """The plain loop: the first layer is detached on odd steps."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    model = Net(bias=bias)
    x, y = torch.randn(256, 16), torch.randint(0, 3, (256,))
    optimizer = build(entry, model, **axes)
    if entry.train_mode:
        optimizer.train()
    if decay_off:
        for group in optimizer.param_groups:
            group[entry.decay_key] = 0.0
    moved = []
    for step in range(steps):

        @torch.enable_grad()
        def closure(frozen=step % 2 == 1) -> Tensor:
            optimizer.zero_grad(set_to_none=set_to_none)
            loss = functional.cross_entropy(model(x, frozen=frozen), y)
            loss.backward(create_graph=entry.create_graph)
            return loss

        before = bits(model.layer1.weight)
        if not entry.needs_closure or entry.backward_first:
            closure()
        optimizer.step(*[closure] if entry.needs_closure else [])
        moved.append(not torch.equal(before, bits(model.layer1.weight)))
    return Run(moved, bits(model.layer1.weight))


@_each(RUNNING)
def test_the_layer_moves_when_attached_alone_and_twice_by_the_same_bits(entry):
    first, second = train(entry), train(entry)
    assert sum(first.moved[::2]) >= ATTACHED_STEPS_THAT_MOVE
    assert any(first.moved[1::2]) is entry.target.endswith(READ_NONE_AS_ZERO)
    assert torch.equal(first.weight, second.weight)


@_each_with("lr")
def test_lr_turns_something(entry):
    slow, fast = train(entry, steps=12, lr=0.01), train(entry, steps=12, lr=0.5)
    assert not torch.equal(slow.weight, fast.weight)


@_each_with("momentum")
def test_momentum_turns_something(entry):
    # On zero grads, where 0 and more differ even for those that take the sign of the mean.
    how = {"steps": 12, "set_to_none": entry.create_graph}
    least = 0.1 if "schedulefree" in entry.name else 0.0  # they divide by it
    light, heavy = train(entry, momentum=least, **how), train(entry, momentum=0.9, **how)
    assert not torch.equal(light.weight, heavy.weight)


@_each_with("weight_decay")
def test_weight_decay_turns_something_and_the_decay_key_switches_it_off(entry):
    without, with_decay, switched_off = (
        train(entry, steps=12, weight_decay=weight_decay, decay_off=off)
        for weight_decay, off in [(0.0, False), (0.1, False), (0.1, True)]
    )
    assert not torch.equal(without.weight, with_decay.weight)
    assert torch.equal(without.weight, switched_off.weight)


@_each([entry for entry in RUNNING if entry.weight_decay is None])
def test_a_row_without_weight_decay_has_no_argument_of_that_name(entry):
    assert "weight_decay" not in registry.constructor(entry).parameters


@_each([entry for entry in INSTALLED if entry.cannot is None])
def test_every_address_and_option_names_an_argument_of_the_constructor(entry):
    parameters = registry.constructor(entry).parameters
    passes_on = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    addresses = {entry.address(axis) for axis in AXES} - {None}
    for argument in {split_address(address)[0] for address in addresses | set(entry.options)}:
        assert argument in parameters or (passes_on and entry.name == "pytorch_optimizer.magma")


@_each(RUNNING)
def test_a_value_is_known_for_every_axis_that_a_row_has(entry):
    for axis in AXES:
        assert (registry.default(entry, axis) is None) is (entry.address(axis) is None)


@_each([e for e in RUNNING if not e.takes_model])
def test_a_row_takes_parameter_groups_exactly_where_it_says_so(entry):
    if entry.param_groups:
        optimizer = build(entry, Net(), split=True)
        assert len(optimizer.param_groups) == 2
    else:
        with pytest.raises(Exception, match=r"parameter|group|params"):
            build(entry, Net(), split=True)


@_each(RUNNING)
def test_a_row_takes_vectors_unless_it_says_matrices_only(entry):
    if entry.matrices_only:
        with pytest.raises((ValueError, RuntimeError, IndexError)):
            train(entry, steps=2, bias=True)
    else:
        train(entry, steps=2, bias=True)


def test_about_two_hundred_optimizers_run_without_timm():
    assert len([e for e in RUNNING if e.collection != "timm"]) >= 190
