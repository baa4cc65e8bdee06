"""What a watch says of torch's optimizers, and that it changes nothing."""

import copy

import pytest
import torch

from sweep import watch

FIRST = {"first.weight", "first.bias"}


def leaking(leaks):
    return {leak.parameter for leak in leaks.leaks}


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "SGD momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "SGD decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "Adam foreach": lambda p: torch.optim.Adam(p, lr=0.1, foreach=True),
    "Adam fused": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1),
    "AdamW amsgrad": lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True),
    "Adam no momentum": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.0, 0.99)),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "ASGD": lambda p: torch.optim.ASGD(p, lr=0.1),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.1),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
}
LEAKING_WITH_ZEROS = {
    "SGD momentum": "history",
    "SGD decay": "decay",
    "Adam": "history",
    "Adam foreach": "history",
    "Adam fused": "history",
    "AdamW": "decay, history",
    "AdamW amsgrad": "decay, history",
    "ASGD": "intrinsic",
    "NAdam": "history",
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_grads_of_none_nothing_leaks(model, train, name):
    optimizer = OPTIMIZERS[name](model.parameters())
    with watch(model, optimizer) as leaks:
        train(model, optimizer)
    assert leaks.leaks == ()
    leaks.raise_if_any()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_grads_of_zeros_what_leaks_is_found_and_explained(model, train, name):
    optimizer = OPTIMIZERS[name](model.parameters())
    with watch(model, optimizer) as leaks:
        train(model, optimizer, to_none=False)
    expected = LEAKING_WITH_ZEROS.get(name)
    assert leaking(leaks) == (FIRST if expected else set())
    assert {str(leak.explanation) for leak in leaks.leaks if leak.step == 1} == (
        {expected} if expected else set()
    )
    assert all(leak.step % 2 == 1 and leak.explanation is None for leak in leaks.leaks[1:3])


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("granularity", ["parameter", "row"])
def test_training_under_watch_gives_the_same_bits(model, train, name, granularity):
    other = copy.deepcopy(model)
    bare, watched = (OPTIMIZERS[name](each.parameters()) for each in (model, other))
    start = torch.get_rng_state()
    train(model, bare, to_none=False)
    torch.set_rng_state(start)
    with watch(other, watched, granularity=granularity):
        train(other, watched, to_none=False)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    one, two = bare.state_dict(), watched.state_dict()
    assert one["param_groups"] == two["param_groups"]
    assert one["state"].keys() == two["state"].keys()
    for key, state in one["state"].items():
        for entry, value in state.items():
            same = two["state"][key][entry]
            assert torch.equal(value, same) if torch.is_tensor(value) else value == same


def test_a_layer_that_held_before_its_first_gradient_is_explained_when_it_leaks(model, train):
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with watch(model, optimizer) as leaks:
        train(model, optimizer, 6, detached=lambda step: step != 2, to_none=False)
    assert {leak.step for leak in leaks.leaks} == {3, 4, 5}
    assert {str(leak.explanation) for leak in leaks.leaks if leak.step == 3} == {"history"}
