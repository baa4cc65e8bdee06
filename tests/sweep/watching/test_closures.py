"""Steps with a closure, which brings the gradients while the step runs."""

import copy

import pytest
import torch

from sweep import watch

OPTIMIZERS = {
    "history": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1),
    "decay, history": lambda p: torch.optim.AdamW(p, lr=0.1),
}


@pytest.fixture
def train():
    """Trains by closures, the first layer detached on odd steps; counts the closure's calls."""

    def run(model, optimizer, *, to_none, steps=6):
        calls = 0

        def closure(step, x):
            nonlocal calls
            calls += 1
            optimizer.zero_grad(set_to_none=to_none)
            loss = model(x, detach=step % 2 == 1).square().sum()
            loss.backward()
            return loss

        for step in range(steps):
            x = torch.randn(5, 4)
            optimizer.step(lambda step=step, x=x: closure(step, x))
        return calls

    return run


@pytest.mark.parametrize("cause", OPTIMIZERS)
def test_the_cause_is_found_once_the_closure_has_run(model, train, cause):
    optimizer = OPTIMIZERS[cause](model.parameters())
    with watch(model, optimizer) as leaks:
        train(model, optimizer, to_none=False)
    first = [leak for leak in leaks.leaks if leak.parameter == "first.bias" and leak.step == 1]
    assert [str(leak.explanation) for leak in first] == [cause]


@pytest.mark.parametrize("cause", OPTIMIZERS)
def test_grads_set_to_none_by_the_closure_hold(model, train, cause):
    optimizer = OPTIMIZERS[cause](model.parameters())
    with watch(model, optimizer) as leaks:
        train(model, optimizer, to_none=True)
    assert leaks.leaks == ()


def test_the_closure_is_called_as_often_as_without_and_the_bits_are_the_same(model, train):
    for make in (*OPTIMIZERS.values(), lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3)):
        bare, watched = copy.deepcopy(model), copy.deepcopy(model)
        plain, hooked = make(bare.parameters()), make(watched.parameters())
        torch.manual_seed(1)
        calls = train(bare, plain, to_none=False)
        torch.manual_seed(1)
        with watch(watched, hooked):
            assert train(watched, hooked, to_none=False) == calls
        for one, other in zip(bare.parameters(), watched.parameters(), strict=True):
            assert torch.equal(one, other)


def test_a_closure_given_by_name_that_says_nothing_will_do(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with watch(model, optimizer) as leaks:
        for step in range(2):
            model(torch.randn(5, 4), detach=step == 1).sum().backward()
            assert optimizer.step(closure=lambda: None) is None
            optimizer.zero_grad(set_to_none=False)
    assert set(leaks.table().cause) == {"history"}


def test_without_causes_the_closure_is_the_users_own(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    given = []
    optimizer.register_step_pre_hook(lambda _, args, __: given.append(args[1]))
    with watch(model, optimizer, causes=False):
        optimizer.step(own := lambda: None)
    assert given == [own]


def test_what_a_closure_raises_comes_out_as_it_is(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def closure():
        raise RuntimeError("the data ran dry")

    with watch(model, optimizer) as leaks, pytest.raises(RuntimeError, match="the data ran dry"):
        optimizer.step(closure)
    assert leaks.leaks == ()
