"""Parameters that become NaN or infinite: said as such, and one that stays NaN has not moved."""

from functools import partial

import pytest
import torch
from torch import nn, optim
from witness import Witness, told

from sweep import watch

MOMENTUM = partial(optim.SGD, lr=1.0, momentum=0.9)


def planted(value, *, granularity="parameter", steps=3):
    """A parameter whose momentum becomes ``value`` on the last step, its grad zeros."""
    weight = nn.Parameter(torch.ones(2))
    optimizer, witness = MOMENTUM([weight]), Witness({"weight": weight})
    with watch({"weight": weight}, optimizer, granularity=granularity) as leaks:
        weight.grad = torch.ones(2)
        for step in range(steps):
            if step == 2:
                optimizer.state[weight]["momentum_buffer"].fill_(value)
            witness.step(optimizer)
            weight.grad.zero_()
    return witness.moved(lambda _, step: step >= 1), leaks


@pytest.mark.parametrize("granularity", ["parameter", "row"])
@pytest.mark.parametrize(("value", "word"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_the_summary_says_that_it_became_so(value, word, granularity):
    true, leaks = planted(value, granularity=granularity)
    assert told(leaks) == true == {("weight", 1), ("weight", 2)}
    assert word in leaks.summary().lower()


def test_it_is_the_first_leak_that_is_nan_at_once():
    weight = nn.Parameter(torch.ones(2))
    optimizer = MOMENTUM([weight])
    weight.grad = torch.ones(2)
    optimizer.step()
    weight.grad.zero_()
    optimizer.state[weight]["momentum_buffer"].fill_(float("nan"))
    with watch({"weight": weight}, optimizer) as leaks:
        optimizer.step()
    assert told(leaks) == {("weight", 0)}
    assert "nan" in leaks.summary().lower()
    assert leaks.table()["change"].isna().all()


@pytest.mark.parametrize("granularity", ["parameter", "row"])
def test_what_is_nan_and_stays_so_has_not_moved(granularity):
    weight = nn.Parameter(torch.tensor([float("nan"), 1.0]))
    optimizer = optim.SGD([weight], lr=0.1)
    with watch({"weight": weight}, optimizer, granularity=granularity) as leaks:
        for _ in range(3):
            weight.grad = torch.zeros(2)
            optimizer.step()
    assert told(leaks) == set()


def test_a_gradient_of_nan_is_a_gradient():
    weight = nn.Parameter(torch.ones(2))
    optimizer = optim.SGD([weight], lr=0.1)
    with watch({"weight": weight}, optimizer) as leaks:
        (weight * float("nan")).sum().backward()
        optimizer.step()
    assert told(leaks) == set()


def test_a_stale_gradient_of_nan_that_moves_nothing_more_is_no_leak():
    """On the first step the weight becomes NaN, by a gradient; after that it stays so."""
    weight = nn.Parameter(torch.ones(2))
    optimizer = optim.SGD([weight], lr=0.1)
    with watch({"weight": weight}, optimizer) as leaks:
        (weight * float("nan")).sum().backward()
        for _ in range(3):
            optimizer.step()
    assert told(leaks) == set()


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_zeros_of_either_sign_are_zeros(zero):
    weight = nn.Parameter(torch.ones(2))
    optimizer, witness = MOMENTUM([weight]), Witness({"weight": weight})
    with watch({"weight": weight}, optimizer) as leaks:
        for step in range(3):
            weight.grad = torch.ones(2) if step == 0 else torch.full((2,), zero)
            witness.step(optimizer)
    assert told(leaks) == witness.moved(lambda _, step: step > 0) != set()


def test_a_change_of_the_sign_of_zero_alone_is_a_movement():
    """Bits, not values."""

    class Negates(optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.neg_()

    weight = nn.Parameter(torch.zeros(2))
    optimizer = Negates([weight], lr=0.1)
    with watch({"weight": weight}, optimizer) as leaks:
        optimizer.step()
    assert told(leaks) == {("weight", 0)}
