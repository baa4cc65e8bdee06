"""What is kept of a layer is what torch gives, while weight and data are what it was made of."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from sweep.trial.outside import fresh_modes
from sweep.workloads.kept import KeptProduct, product
from sweep.workloads.sizes import BUILT_IN

SMALL = BUILT_IN["small"]


@pytest.fixture(autouse=True)
def as_a_trial_runs():
    with fresh_modes():
        yield


def tensors(*stacked):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(*stacked, SMALL.examples, SMALL.features, generator=generator)
    weight = torch.randn(*stacked, SMALL.hidden, SMALL.features, generator=generator)
    return x, nn.Parameter(weight)


@pytest.fixture
def made(monkeypatch):
    """The products that were made, in order."""
    shapes, matmul = [], torch.matmul
    monkeypatch.setattr(torch, "matmul", lambda a, b: shapes.append(a.shape) or matmul(a, b))
    return shapes


def grads(loss, *of, create_graph=False):
    return torch.autograd.grad(loss, of, create_graph=create_graph)


def test_a_product_is_made_once_while_the_bits_are_the_same(made):
    x, weight = tensors()
    kept = KeptProduct()
    first, second = kept.of(x, weight), kept.of(x, weight)
    assert len(made) == 1
    assert first.data_ptr() == second.data_ptr()


CHANGES = {
    "in place": lambda x, weight: (x, weight.data.mul_(2)),
    "past versions": lambda x, weight: (x, weight.detach().numpy().__setitem__((0, 0), 5.0)),
    "the sign of a zero": lambda x, weight: (x, weight.data.zero_().neg_()),
    "other data": lambda x, weight: (x.clone(), None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_is_made_anew_where_a_bit_of_it_has_changed(made, change):
    x, weight = tensors()
    kept = KeptProduct()
    if change is CHANGES["the sign of a zero"]:
        weight.data.zero_()
    kept.of(x, weight)
    x, _ = change(x, weight)
    result = kept.of(x, weight)
    assert len(made) == 2
    assert torch.equal(result, functional.linear(x, weight))


@pytest.mark.parametrize("detached", [False, True])
def test_values_and_grads_are_those_of_torchs_own_layers(detached):
    x, weight = tensors()
    kept = KeptProduct()
    for _ in range(2):  # made, then kept
        ours, theirs = kept.of(x, weight), functional.linear(x, weight)
        if detached:
            ours, theirs = ours.detach(), theirs.detach()
        active = kept.relu(ours)
        assert torch.equal(active, torch.relu(theirs))
        if not detached:
            (grad,), (expected,) = (
                grads(each.square().sum(), weight) for each in (active, torch.relu(theirs))
            )
            assert torch.equal(grad, expected)
            assert grad.stride() == expected.stride()


def test_it_can_be_differentiated_twice():
    x, weight = tensors()
    kept = KeptProduct()
    twice = []
    for active in (kept.relu(kept.of(x, weight)), torch.relu(functional.linear(x, weight))):
        (grad,) = grads(active.pow(3).sum(), weight, create_graph=True)
        twice += grads(grad.square().sum(), weight)
    assert torch.equal(*twice)


def test_each_of_a_stack_gets_the_bits_and_grads_that_it_gets_alone():
    x, weight = tensors(3)
    stacked = product(x, weight)
    (grad,) = grads(stacked.square().sum(), weight)
    for number in range(3):
        alone = nn.Parameter(weight[number].detach().clone())
        by_itself = functional.linear(x[number], alone)
        assert torch.equal(stacked[number], by_itself)
        assert torch.equal(grad[number], *grads(by_itself.square().sum(), alone))


def test_data_have_grads_too():
    x, weight = tensors()
    x.requires_grad_()
    ours, theirs = product(x, weight), functional.linear(x, weight)
    assert torch.equal(*(grads(each.square().sum(), x)[0] for each in (ours, theirs)))


def test_another_tensor_gets_a_relu_of_its_own():
    x, weight = tensors()
    kept = KeptProduct()
    other = kept.of(x, weight) * 2
    assert torch.equal(kept.relu(other), torch.relu(other))
    assert torch.equal(KeptProduct().relu(other), torch.relu(other))


def test_copies_of_a_net_share_what_is_kept():
    kept = KeptProduct()
    assert copy.deepcopy({"held": kept})["held"] is kept
