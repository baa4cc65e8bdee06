"""A step that calls another's counts once, and what it does before and after that counts, too.

Reports: konstmish/prodigy#20, schedule_free#55; SAM's two halves.
"""

from functools import partial

import pytest
import torch
from torch import nn, optim
from witness import Witness, told

from sweep import watch

MOMENTUM = partial(optim.SGD, lr=0.1, momentum=0.9)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))


def batch():
    return torch.randn(8, 3)


def decay(optimizer, factor=0.9):
    """Shrinks every parameter that the optimizer holds, whatever its grad."""
    with torch.no_grad():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.mul_(factor)


class DecaysFirst(optim.Adam):
    def step(self, closure=None):
        decay(self)
        return super().step(closure)


class DecaysAfter(optim.SGD):
    def step(self, closure=None):
        loss = super().step(closure)
        decay(self)
        return loss


class AddsNothing(optim.Adam):
    def step(self, closure=None):
        return super().step(closure)


class ThreeDeep(DecaysFirst):
    def step(self, closure=None):
        return super().step(closure)


class StepsTwice(optim.SGD):
    """Two updates in one step, as some second-order methods do."""

    def step(self, closure=None):
        super().step(closure)
        return super().step()


class Undecorated(optim.Adam):
    """Overrides step with a signature of its own."""

    def step(self, closure=None, *, scale=0.9):
        decay(self, scale)
        return optim.Adam.step(self, closure)


class Holds(optim.Optimizer):
    """Has another optimizer do its work, which holds the same groups; not a subclass of its."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})
        self.inner = optim.Adam(self.param_groups, lr=lr)
        self.param_groups = self.inner.param_groups

    def step(self, closure=None):
        decay(self)
        return self.inner.step(closure)


DECAYING = {
    "decays, then super().step()": DecaysFirst,
    "super().step(), then decays": DecaysAfter,
    "three deep": ThreeDeep,
    "Adam.step(self) by name": Undecorated,
    "another optimizer inside": Holds,
}


def frozen_from_the_start(build, *, parent_first, options=None, steps=4):
    """Layer 0 never has a gradient; True is what the bits say of it."""
    if parent_first:  # torch hooks a class when an object of it is first made
        optim.Adam(net().parameters())
        optim.SGD(net().parameters())
    model = net()
    optimizer = build(model.parameters(), lr=0.1)
    model[0].requires_grad_(False)
    witness = Witness(model.named_parameters())
    with watch(model, optimizer, **(options or {})) as leaks:
        for _ in range(steps):
            model(batch()).sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad()
    return witness.moved(lambda name, _: name.startswith("0.")), leaks


@pytest.mark.parametrize("parent_first", [True, False])
@pytest.mark.parametrize("name", DECAYING)
def test_what_is_done_around_the_inner_step_is_seen_and_counts_once(name, parent_first):
    true, leaks = frozen_from_the_start(DECAYING[name], parent_first=parent_first)
    assert true == {(f"0.{part}", step) for part in ("weight", "bias") for step in range(4)}
    assert told(leaks) == true
    assert len(leaks.leaks) == len(true)
    assert leaks.findings.steps == [4]
    assert set(leaks.table()["grad"]) == {"none"}


@pytest.mark.parametrize("parent_first", [True, False])
@pytest.mark.parametrize("build", [AddsNothing, StepsTwice, optim.Adam])
def test_one_that_adds_nothing_leaks_where_its_parent_does_and_once_a_step(build, parent_first):
    if parent_first:
        optim.Adam(net().parameters())
        optim.SGD(net().parameters())
    model = net()
    options = {"momentum": 0.9} if build is StepsTwice else {}
    optimizer, witness = build(model.parameters(), lr=0.1, **options), Witness({})
    witness.also(model.named_parameters())
    with watch(model, optimizer) as leaks:
        for step in range(4):
            model[0].requires_grad_(step % 2 == 0)
            model(batch()).sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad(set_to_none=False)
    true = witness.moved(lambda name, step: name.startswith("0.") and step % 2 == 1)
    assert true == {(f"0.{part}", step) for part in ("weight", "bias") for step in (1, 3)}
    assert told(leaks) == true
    assert len(leaks.leaks) == len(true)
    assert leaks.findings.steps == [4]


def test_nothing_leaks_where_a_nested_step_has_grads_of_none():
    true, leaks = frozen_from_the_start(AddsNothing, parent_first=True)
    assert told(leaks) == true == set()
    assert leaks.findings.steps == [4]


def test_a_nested_step_with_a_closure_is_one_step():
    model = net()
    optimizer, witness = DecaysFirst(model.parameters(), lr=0.1), Witness(model.named_parameters())
    model[0].requires_grad_(False)

    def closure():
        optimizer.zero_grad()
        loss = model(batch()).sum()
        loss.backward()
        return loss

    with watch(model, optimizer) as leaks:
        for _ in range(3):
            witness.step(optimizer, closure)
    true = witness.moved(lambda name, _: name.startswith("0."))
    assert len(true) == 6
    assert told(leaks) == true
    assert leaks.findings.steps == [3]


def test_rows_are_seen_around_a_nested_step():
    torch.manual_seed(0)
    embedding = nn.Embedding(5, 2)
    optimizer = DecaysFirst(embedding.parameters(), lr=0.1)
    with watch(embedding, optimizer, granularity="row") as leaks:
        embedding(torch.tensor([1, 2])).sum().backward()
        optimizer.step()
    assert [leak.rows for leak in leaks.leaks] == [(0, 3, 4)]


class SAM(optim.Optimizer):
    """Sharpness-aware minimisation as its users write it: two halves, and no ``step``.

    https://github.com/davda54/sam; the inner optimizer shares the groups.
    """

    def __init__(self, params, inner, rho=0.05, **options):
        super().__init__(params, {"rho": rho, **options})
        self.base_optimizer = inner(self.param_groups, **options)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def first_step(self):
        """To the worst place near."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    push = parameter.grad * self.defaults["rho"]
                    self.state[parameter]["push"] = push
                    parameter.add_(push)

    @torch.no_grad()
    def second_step(self):
        """Back, and a step with the gradient of there."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and "push" in self.state[parameter]:
                    parameter.sub_(self.state[parameter]["push"])
        self.base_optimizer.step()

    def step(self, closure=None):
        raise NotImplementedError("SAM takes two halves")


@pytest.mark.parametrize("to_none", [True, False])
def test_sam_s_halves_are_steps_in_which_a_frozen_layer_s_movement_is_told(to_none):
    """``step`` is never called on it: it is by the inner optimizer's that the layer moves."""
    model = net()
    optimizer = SAM(model.parameters(), optim.SGD, lr=0.1, momentum=0.9)
    witness = Witness(model.named_parameters())
    witness.attach(optimizer.base_optimizer)
    with watch(model, optimizer) as leaks:
        for step in range(4):
            model[0].requires_grad_(step < 2)
            x = batch()
            for half in (optimizer.first_step, optimizer.second_step):
                model(x).square().mean().backward()
                half()
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter.grad = None if to_none else parameter.grad.zero_()
    true = witness.moved(lambda name, step: name.startswith("0.") and step >= 2)
    assert bool(true) is not to_none
    assert "No step was taken" not in leaks.summary()
    assert {name for name, _ in told(leaks)} == {name for name, _ in true}
    assert told(leaks) == true
