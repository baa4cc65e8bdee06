"""What a watch advises follows from what it saw."""

import pytest
import torch
from torch import nn

from sweep import watch

DECAYING = {"lr": 0.1, "weight_decay": 0.1}


def trained(model, loss, *, to_none=True, **options):
    """What a watch says of two steps of ``loss(model, step)`` under SGD with decay."""
    optimizer = torch.optim.SGD(model.parameters(), **DECAYING)
    with watch(model, optimizer, **options) as leaks:
        for step in range(2):
            loss(model, step).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=to_none)
    return leaks.summary()


def own(model, step):
    """The loss of a first layer that is detached on the second step."""
    return model(torch.randn(5, 4), detach=step == 1).sum()


def test_zeros_left_by_zero_grad_are_to_be_none(model):
    assert "let its grad be None, not zeros" in trained(model, own, to_none=False)


@pytest.mark.parametrize("hook", [True, False])
def test_zeros_that_the_backward_pass_brings_are_not_zero_grad_s_to_clear(model, hook):
    if hook:
        model.first.weight.register_hook(torch.zeros_like)
        said = trained(model, lambda m, _: own(m, 0), zeros_count=False)
    else:
        said = trained(model, lambda m, _: own(m, 0) + 0 * m.first.weight.sum(), frozen=["first"])
    assert "let its grad be None, not zeros" not in said
    assert ("its grad of zeros came on this step, from backward() or a hook" in said) is hook


def test_a_gradient_that_reached_what_is_frozen_was_not_left_over(model):
    said = trained(model, lambda m, _: own(m, 0), frozen=["first"])
    assert "a gradient reached it on this step: detach what it gives" in said
    assert "still there" not in said


def test_a_grad_that_was_left_over_was_still_there(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer) as leaks:
        for step in range(2):
            own(model, step).backward()
            optimizer.step()
    assert "its grad was still there" in leaks.summary()


def test_rows_that_decay_are_advised_a_group_without_decay():
    model = nn.Sequential(nn.Embedding(6, 3))
    said = trained(model, lambda m, step: m(torch.tensor([step])).sum(), granularity="row")
    assert "give it a parameter group with weight_decay=0" in said
    assert "sparse" not in said
