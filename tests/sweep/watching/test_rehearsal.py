"""What a rehearsal concludes of optimizers planted with one known source, and what it refuses."""

import time

import planted
import pytest
import torch
from torch import nn

from sweep import watch


def found(build, *, to_none=False):
    layer = nn.Linear(2, 2, bias=False)
    optimizer = build(layer.parameters())
    with watch(layer, optimizer) as leaks:
        for step in range(3):
            if step == 0:
                layer(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=to_none)
    return [str(leak.explanation) for leak in leaks.leaks if leak.step == 1]


class Counting(planted.Planted):
    """Does something else every time it is asked, from a counter that copies do not share."""

    calls = 0

    def direction(self, parameter, grad, group):
        Counting.calls += 1
        return torch.full_like(parameter, Counting.calls)


class Surprising(planted.Planted):
    """Does something else every time it is asked."""

    def direction(self, parameter, grad, group):
        return torch.full_like(parameter, time.perf_counter_ns() % 1_000_003)


class Uncopiable(planted.Momentum):
    """Holds what cannot be copied."""

    def __init__(self, params):
        super().__init__(params)
        self.held = (each for each in ())


class Noisy(planted.Planted):
    """Draws from torch's generator on every step."""

    def direction(self, parameter, grad, group):
        return torch.randn_like(parameter)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (planted.Plain, []),
        (planted.Momentum, ["history"]),
        (planted.MomentumInGroup, ["history"]),
        (Noisy, ["intrinsic"]),
        (Counting, ["intrinsic"]),
        (Surprising, ["unknown"]),
        (Uncopiable, ["unknown"]),
    ],
)
def test_a_cause_is_named_or_said_to_be_unknown(build, expected):
    assert found(build) == expected


def test_rehearsing_draws_nothing_from_the_users_generators():
    def bits(watched):
        torch.manual_seed(3)
        layer = nn.Linear(2, 2, bias=False)
        optimizer = Noisy(layer.parameters())
        layer.weight.grad = torch.zeros(2, 2)
        if watched:
            with watch(layer, optimizer):
                optimizer.step()
        else:
            optimizer.step()
        return layer.weight.tolist(), torch.rand(1).item()

    assert bits(watched=True) == bits(watched=False)
