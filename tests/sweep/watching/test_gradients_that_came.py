"""Gradients of a step's own, however they came: training is not called a leak.

Zeros that autograd brought are told on a line of their own, and are leaks only on request.
Reports: pytorch#28294 (DDP), LoRA's first step, hand-made averages over processes.
"""

import copy
from functools import partial

import pytest
import torch
from torch import nn, optim
from torch.utils.checkpoint import checkpoint
from witness import Witness, told, told_rows

from sweep import watch

ADAMW = partial(optim.AdamW, lr=0.1)
MOMENTUM = partial(optim.SGD, lr=0.1, momentum=0.9)


class LoRA(nn.Module):
    """A frozen linear layer with a low-rank adapter, whose second factor begins at zero."""

    def __init__(self, wide=4):
        super().__init__()
        self.base = nn.Linear(wide, wide).requires_grad_(False)
        self.lora_a = nn.Linear(wide, 2, bias=False)
        self.lora_b = nn.Linear(2, wide, bias=False)
        nn.init.zeros_(self.lora_b.weight)

    def forward(self, x):
        return self.base(x) + self.lora_b(self.lora_a(x))


class Block(nn.Module):
    """Two adapted layers, checkpointed or not."""

    def __init__(self, reentrant=None):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = LoRA(), LoRA()
        self.reentrant = reentrant

    def forward(self, x):
        for layer in (self.first, self.second):
            if self.reentrant is None:
                x = layer(x)
            else:
                x = checkpoint(layer, x.requires_grad_(), use_reentrant=self.reentrant)
        return x


def plain(model, x, _):
    model(x).square().mean().backward()


def clipped(model, x, _):
    plain(model, x, _)
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)


def accumulated(model, x, _):
    for part in x.chunk(2):
        (model(part).square().mean() / 2).backward()


def zero_first(model, x, _):
    """The first micro-batch has a loss of zero: every grad of it is zeros."""
    (model(x).square().mean() * 0).backward()
    plain(model, x, _)


def zero_last(model, x, _):
    plain(model, x, _)
    (model(x).square().mean() * 0).backward()


def zero_first_and_clipped(model, x, _):
    zero_first(model, x, _)
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)


def valued(model, x, _):
    plain(model, x, _)
    nn.utils.clip_grad_value_(model.parameters(), 0.001)


def scaled(model, x, _):
    """As many loops average over processes or micro-batches: in place."""
    plain(model, x, _)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.div_(3)


def reassigned(model, x, _):
    plain(model, x, _)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad = parameter.grad.float().clone()


def unused_head(model, x, step):
    """The loss of the other adapter alone, and zero times this one's: as DDP's users write."""
    hidden = model.first(x)
    (model.second(hidden).square().mean() + 0 * model.first(x).sum()).backward()


WAYS = {
    each.__name__.replace("_", " "): each
    for each in (
        plain,
        clipped,
        accumulated,
        zero_first,
        zero_last,
        zero_first_and_clipped,
        valued,
        scaled,
        reassigned,
        unused_head,
    )
}


@pytest.mark.filterwarnings("ignore:.*use_reentrant.*")
@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize("reentrant", [None, True, False])
@pytest.mark.parametrize("way", WAYS)
def test_lora_s_first_gradient_is_exactly_zero_and_is_no_leak(way, reentrant, to_none):
    model = Block(reentrant)
    optimizer, witness = ADAMW(model.parameters()), Witness(model.named_parameters())
    with watch(model, optimizer) as leaks:
        for step in range(3):
            WAYS[way](model, torch.randn(4, 4), step)
            assert step or not model.first.lora_a.weight.grad.any()
            witness.step(optimizer)
            optimizer.zero_grad(set_to_none=to_none)
    assert witness.moved(lambda name, _: "base" in name) == set()
    assert told(leaks) == set()
    leaks.raise_if_any()


def test_what_moved_on_zeros_that_came_has_a_line_of_its_own_and_no_clean_bill():
    model = Block()
    optimizer, witness = ADAMW(model.parameters()), Witness(model.named_parameters())
    with watch(model, optimizer) as leaks:
        plain(model, torch.randn(4, 4), 0)
        witness.step(optimizer)
    true = witness.moved(lambda name, _: "lora_a" in name)
    assert true == {("first.lora_a.weight", 0), ("second.lora_a.weight", 0)}
    assert told(leaks) == set()
    said = leaks.summary()
    assert "No leak" not in said
    assert "lora_a.weight" in said
    assert "zeros" in said
    assert "decay" in said
    advice = [line for line in said.splitlines() if "->" in line]
    assert advice == [
        "    -> if they stand for no gradient: .grad = None between backward() and step()"
    ]


@pytest.mark.parametrize("build", [optim.SGD, partial(optim.Adam, betas=(0.0, 0.9)), optim.Adagrad])
def test_where_zeros_move_nothing_there_is_nothing_to_tell_of_them(build):
    model = Block()
    optimizer = build(model.parameters(), lr=0.1)
    with watch(model, optimizer, zeros_count=False) as leaks:
        plain(model, torch.randn(4, 4), 0)
        optimizer.step()
    assert told(leaks) == set()


HOOKS = {
    "tensor hook": lambda p: p.register_hook(torch.zeros_like),
    "multiplied by 0": lambda p: p.register_hook(lambda grad: grad * 0),
}


@pytest.mark.parametrize("zeros_count", [True, False])
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("build", [ADAMW, MOMENTUM, partial(optim.SGD, lr=0.1)])
def test_zeros_of_a_hook_are_leaks_on_request_alone(build, hook, zeros_count):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    optimizer, witness = build(model.parameters()), Witness(model.named_parameters())
    with watch(model, optimizer, zeros_count=zeros_count) as leaks:
        for step in range(4):
            if step == 2:
                for parameter in model[0].parameters():
                    HOOKS[hook](parameter)
            model(torch.randn(4, 3)).square().mean().backward()
            witness.step(optimizer)
            optimizer.zero_grad()
    true = witness.moved(lambda name, step: name.startswith("0.") and step >= 2)
    assert told(leaks) == (set() if zeros_count else true)
    assert ("No leak" in leaks.summary() and bool(true)) is False


def constant(parameters):
    """A loss whose gradient is the same on each step, bit for bit."""
    return sum(parameter.sum() for parameter in parameters)


def by_backward(parameters, _):
    constant(parameters).backward()


def by_autograd_grad(parameters, _):
    grads = torch.autograd.grad(constant(parameters), parameters)
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = grad


def by_a_buffer(parameters, buffers):
    """The same tensor at each step, written anew."""
    grads = torch.autograd.grad(constant(parameters), parameters)
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = buffers.setdefault(id(parameter), torch.zeros_like(parameter)).copy_(grad)


def by_two_passes(parameters, _):
    for _ in range(2):
        constant(parameters).backward()


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize("way", [by_backward, by_autograd_grad, by_a_buffer, by_two_passes])
def test_a_gradient_of_the_same_bits_as_the_last_is_a_gradient_all_the_same(way, to_none):
    layer = nn.Linear(3, 2)
    parameters, buffers = list(layer.parameters()), {}
    optimizer = optim.SGD(parameters, lr=0.1)
    with watch(layer, optimizer) as leaks:
        for _ in range(4):
            way(parameters, buffers)
            optimizer.step()
            optimizer.zero_grad(set_to_none=to_none)
    assert told(leaks) == set()


def written_in_place(parameters):
    """Another process's gradient, into the grad that is there."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad.copy_(torch.randn_like(parameter))


def added_in_place(parameters):
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad.add_(torch.randn_like(parameter))


def through_data(parameters):
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad.data = torch.randn_like(parameter)


def by_vector(parameters):
    """As evolution strategies and natural gradients write them: views of one vector."""
    flat = torch.randn(sum(parameter.numel() for parameter in parameters))
    at = 0
    for parameter in parameters:
        parameter.grad = flat[at : at + parameter.numel()].view_as(parameter)
        at += parameter.numel()


def by_func(parameters):
    values = tuple(parameter.detach() for parameter in parameters)
    grads = torch.func.grad(lambda given: sum(each.square().sum() for each in given))(values)
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = grad


@pytest.mark.parametrize("to_none", [True, False, None])
@pytest.mark.parametrize(
    "write", [written_in_place, added_in_place, through_data, by_vector, by_func]
)
@pytest.mark.parametrize("granularity", ["parameter", "row"])
def test_a_gradient_that_the_loop_writes_itself_is_a_gradient(write, to_none, granularity):
    """``to_none`` is None where the grads are never cleared."""
    layer = nn.Linear(3, 2)
    optimizer = ADAMW(layer.parameters())
    with watch(layer, optimizer, granularity=granularity) as leaks:
        for _ in range(4):
            write(list(layer.parameters()))
            optimizer.step()
            if to_none is not None:
                optimizer.zero_grad(set_to_none=to_none)
    assert told(leaks) == set()
    assert told_rows(leaks) == set()


@pytest.mark.parametrize("to_none", [True, False])
def test_step_in_backward_trains(to_none):
    """https://docs.pytorch.org/tutorials/intermediate/optimizer_step_in_backward_tutorial.html"""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    optimizers = {p: MOMENTUM([p]) for p in model.parameters()}
    witness = Witness(model.named_parameters())

    def step(parameter):
        witness.step(optimizers[parameter])
        optimizers[parameter].zero_grad(set_to_none=to_none)

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    with watch(model, *optimizers.values()) as leaks:
        for turn in range(5):
            model[0].requires_grad_(turn % 2 == 0)
            model(torch.randn(4, 3)).square().mean().backward()
    assert told(leaks) == set()  # its own hook does not fire where no gradient comes
    assert leaks.findings.steps == [3, 3, 5, 5]


def test_noise_added_to_a_stale_grad_is_a_gradient_of_the_step_s_own():
    """Differential privacy, Langevin: what the step finds differs from what the last one left."""
    layer = nn.Linear(3, 2)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    with watch(layer, optimizer) as leaks:
        layer(torch.randn(4, 3)).sum().backward()
        for _ in range(3):
            for parameter in layer.parameters():
                parameter.grad.add_(torch.randn_like(parameter))
            optimizer.step()
    assert told(leaks) == set()


@pytest.mark.parametrize("touch", ["nothing", "read", "norm", "clone"])
def test_a_stale_grad_that_is_only_read_is_stale(touch):
    layer = nn.Linear(3, 2)
    optimizer, witness = optim.SGD(layer.parameters(), lr=0.1), Witness(layer.named_parameters())
    with watch(layer, optimizer) as leaks:
        layer(torch.randn(4, 3)).sum().backward()
        for _ in range(3):
            for parameter in layer.parameters():
                if touch == "read":
                    parameter.grad.sum().item()
                if touch == "norm":
                    nn.utils.clip_grad_norm_([parameter], float("inf"))
                if touch == "clone":
                    copy.deepcopy(parameter.grad)
            witness.step(optimizer)
    true = witness.moved(lambda _, step: step >= 1)
    assert len(true) == 4
    assert told(leaks) == true
    assert set(leaks.table()["cause"].dropna()) == {"gradient"}
