"""Grads that the loop zeroes between ``backward()`` and ``step()`` are no gradient.

The commonest freeze there is. Reports: sahagobinda/GPM#8, ContinualAI/avalanche#795.
"""

from functools import partial

import pytest
import torch
from torch import nn, optim
from witness import Witness, told

from sweep import watch

ADAMW = partial(optim.AdamW, lr=0.1)
MOMENTUM = partial(optim.SGD, lr=0.1, momentum=0.9)
CLEARS = {
    "zero_": lambda p: p.grad.zero_(),
    "data.zero_": lambda p: p.grad.data.zero_(),
    "data.fill_": lambda p: p.grad.data.fill_(0),
    "detach_().zero_": lambda p: p.grad.detach_().zero_(),
    "mul_(0)": lambda p: p.grad.mul_(0),
    "copy_(zeros)": lambda p: p.grad.copy_(torch.zeros_like(p)),
    "data = zeros": lambda p: setattr(p.grad, "data", torch.zeros_like(p.grad)),
    "grad = zeros": lambda p: setattr(p, "grad", torch.zeros_like(p)),
    "grad = grad * 0": lambda p: setattr(p, "grad", p.grad * 0),
    "foreach_zero_": lambda p: torch._foreach_zero_([p.grad]),
    "clamp_ to nothing": lambda p: p.grad.clamp_(0, 0),
}
OPTIMIZERS = {
    "AdamW": (ADAMW, "decay, history"),
    "Adam": (partial(optim.Adam, lr=0.1), "history"),
    "momentum": (MOMENTUM, "history"),
    "decay": (partial(optim.SGD, lr=0.1, weight_decay=0.1), "decay"),
    "AdamW fused": (partial(optim.AdamW, lr=0.1, fused=True), "decay, history"),
    "NAdam": (partial(optim.NAdam, lr=0.1), "history"),
    "plain SGD": (partial(optim.SGD, lr=0.1), None),
    "Adagrad": (partial(optim.Adagrad, lr=0.1), None),
}


def net(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).to(dtype)


def batch(dtype=torch.float32):
    return torch.randn(8, 3).to(dtype)


def trained(model, optimizer, zero, *, steps=5, still=("0.",), since=2, backward=None, **options):
    """What is true and what is told of a loop that calls ``zero()`` from ``since`` on."""
    witness = Witness(model.named_parameters())
    dtype = model[0].weight.dtype
    with watch(model, optimizer, **options) as leaks:
        for step in range(steps):
            optimizer.zero_grad()
            if backward is None:
                model(batch(dtype)).square().mean().backward()
            else:
                backward()
            if step >= since:
                zero()
            witness.step(optimizer)
    true = witness.moved(lambda name, step: name.startswith(still) and step >= since)
    return true, leaks


@pytest.mark.parametrize("clear", CLEARS)
def test_however_the_grad_is_zeroed_what_moves_then_has_leaked(clear):
    model = net()

    def zero():
        for parameter in model[0].parameters():
            CLEARS[clear](parameter)

    true, leaks = trained(model, ADAMW(model.parameters()), zero)
    assert true == {(f"0.{name}", step) for name in ("weight", "bias") for step in (2, 3, 4)}
    assert told(leaks) == true
    assert set(leaks.table()["grad"]) == {"zero"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_leaks_under_those_optimizers_that_move_on_zeros_and_the_cause_is_told(name):
    build, cause = OPTIMIZERS[name]
    model = net()
    true, leaks = trained(
        model, build(model.parameters()), lambda: model[0].zero_grad(set_to_none=False)
    )
    assert bool(true) == (cause is not None)
    assert told(leaks) == true
    causes = leaks.table()["cause"].dropna()
    assert set(causes) == ({cause} if cause else set())


@pytest.mark.parametrize("zeros_count", [True, False])
@pytest.mark.parametrize(("momentum", "moves"), [(0.9, True), (0.0, False)])
def test_gpm_8_batch_norm_filled_with_zeros_moves_by_momentum_alone(momentum, moves, zeros_count):
    """https://github.com/sahagobinda/GPM/issues/8"""
    model = net()

    def fill():
        for parameter in model[1].parameters():
            parameter.grad.data.fill_(0)

    optimizer = optim.SGD(model.parameters(), 0.1, momentum=momentum)
    true, leaks = trained(model, optimizer, fill, still=("1.",), zeros_count=zeros_count)
    assert bool(true) is moves
    assert told(leaks) == true


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_so_in_every_dtype(dtype):
    model = net(dtype)
    true, leaks = trained(
        model, MOMENTUM(model.parameters()), lambda: model[0].zero_grad(set_to_none=False)
    )
    assert true
    assert told(leaks) == true


def test_zeroed_after_accumulating_several_micro_batches():
    model = net()

    def twice():
        for _ in range(2):
            (model(batch()).square().mean() / 2).backward()

    true, leaks = trained(
        model,
        ADAMW(model.parameters()),
        lambda: model[0].zero_grad(set_to_none=False),
        backward=twice,
    )
    assert len(true) == 6
    assert told(leaks) == true


def test_zeroed_between_two_backward_passes_of_which_the_second_does_not_reach_it():
    model = net()

    def backward():
        hidden = model[0](batch())
        model[3](hidden).sum().backward()
        model[0].zero_grad(set_to_none=False)
        model[3](hidden.detach()).sum().backward()

    true, leaks = trained(
        model, MOMENTUM(model.parameters()), lambda: None, since=1, backward=backward
    )
    assert true == set()  # it has no momentum: no gradient was ever there at a step
    assert told(leaks) == true
    true, leaks = trained(
        model, ADAMW(model.parameters()), lambda: None, since=0, backward=backward
    )
    assert len(true) == 10
    assert told(leaks) == true


def test_zeroed_inside_the_closure():
    model = net()
    optimizer, witness = MOMENTUM(model.parameters()), Witness(model.named_parameters())
    with watch(model, optimizer) as leaks:
        for step in range(4):

            def closure(step=step):
                optimizer.zero_grad()
                loss = model(batch()).square().mean()
                loss.backward()
                if step >= 2:
                    model[0].zero_grad(set_to_none=False)
                return loss

            witness.step(optimizer, closure)
    true = witness.moved(lambda name, step: name.startswith("0.") and step >= 2)
    assert len(true) == 4
    assert told(leaks) == true


def test_clipped_and_then_zeroed():
    model = net()

    def clip_and_zero():
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        model[0].zero_grad(set_to_none=False)

    true, leaks = trained(model, ADAMW(model.parameters()), clip_and_zero)
    assert len(true) == 6
    assert told(leaks) == true


def test_zeroed_and_then_clipped():
    model = net()

    def zero_and_clip():
        model[0].zero_grad(set_to_none=False)
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)

    true, leaks = trained(model, ADAMW(model.parameters()), zero_and_clip)
    assert len(true) == 6
    assert told(leaks) == true


def test_unscaled_by_a_grad_scaler_and_then_zeroed():
    model = net()
    optimizer, scaler = MOMENTUM(model.parameters()), torch.amp.GradScaler("cpu", init_scale=4.0)
    witness = Witness(model.named_parameters())
    witness.attach(optimizer)
    with watch(model, optimizer) as leaks:
        for step in range(4):
            optimizer.zero_grad()
            scaler.scale(model(batch()).square().mean()).backward()
            scaler.unscale_(optimizer)
            if step >= 2:
                model[0].zero_grad(set_to_none=False)
            scaler.step(optimizer)
            scaler.update()
    true = witness.moved(lambda name, step: name.startswith("0.") and step >= 2)
    assert len(true) == 4
    assert told(leaks) == true


def test_a_gan_whose_generator_zeroes_what_it_left_in_the_discriminator():
    """Two optimizers; the discriminator's is stepped on the generator's turn, too."""
    gan = nn.ModuleDict({"generator": nn.Linear(2, 2), "discriminator": nn.Linear(2, 1)})
    makes, judges = (optim.Adam(gan[name].parameters(), lr=0.1) for name in gan)
    witness = Witness(gan.named_parameters())
    with watch(gan, makes, judges) as leaks:
        for _ in range(3):
            gan["discriminator"](gan["generator"](torch.randn(4, 2)).detach()).sum().backward()
            witness.step(judges)
            judges.zero_grad()
            gan["discriminator"](gan["generator"](torch.randn(4, 2))).sum().backward()
            gan["discriminator"].zero_grad(set_to_none=False)
            witness.step(makes)
            witness.step(judges)
            makes.zero_grad()
            judges.zero_grad()
    true = witness.moved(lambda name, step: name.startswith("disc") and step % 2 == 1)
    assert len(true) == 6
    assert told(leaks) == true
    assert {leak.optimizer for leak in leaks.leaks} == {1}


def test_a_tied_weight_zeroed_by_its_other_name():
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embedding"].weight
    optimizer, witness = ADAMW(model.parameters()), Witness(model.named_parameters())
    with watch(model, optimizer) as leaks:
        for step in range(3):
            model["head"](model["embedding"](torch.tensor([1, 2]))).square().sum().backward()
            if step:
                model["head"].weight.grad.zero_()
            witness.step(optimizer)
            optimizer.zero_grad()
    true = witness.moved(lambda name, step: step > 0)
    assert true == {("embedding.weight", 1), ("embedding.weight", 2)}
    assert told(leaks) == true


@pytest.mark.parametrize("clear", [c for c in CLEARS if "= grad *" not in c])
def test_a_skipped_step_s_gradient_that_is_zeroed_does_not_count_on_the_next(clear):
    """As GradScaler skips one. Head ``b`` is used in rounds 0 and 2, and round 2 is skipped."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"body": nn.Linear(3, 4), "a": nn.Linear(4, 1), "b": nn.Linear(4, 1)})
    optimizer, witness = MOMENTUM(model.parameters()), Witness(model.named_parameters())
    with watch(model, optimizer) as leaks:
        for turn in range(5):
            for head in ("a", "b") if turn in (0, 2) else ("a",):
                hidden = model["body"](torch.randn(4, 3)).relu()
                model[head](hidden).square().mean().backward()
            if turn != 2:
                witness.step(optimizer)
            for parameter in model.parameters():
                if parameter.grad is not None:
                    CLEARS[clear](parameter)
    true = witness.moved(lambda name, step: name.startswith("b.") and step >= 1)
    assert len(true) == 6
    assert told(leaks) == true


def test_zeroed_by_hand_is_a_leak_beside_the_zeros_that_came_to_another():
    """``0`` is zeroed by the loop, ``3`` by a hook: the first leaks, the second is told apart."""
    model = net()
    for parameter in model[3].parameters():
        parameter.register_hook(torch.zeros_like)
    true, leaks = trained(
        model, ADAMW(model.parameters()), lambda: model[0].zero_grad(set_to_none=False), since=0
    )
    assert len(true) == 10
    assert told(leaks) == true
    assert "3.weight" in leaks.summary()
