"""A watch of many steps keeps no more than one of few, and its counts are right all the same."""

import gc
import tracemalloc
from functools import partial

import pytest
import torch
from torch import nn, optim

from sweep import watch

DECAYING = partial(optim.SGD, lr=0.01, weight_decay=0.1)


def grown(step, *, warm, more):
    """Bytes that Python holds more after ``more`` steps, once ``warm`` have been taken."""
    for _ in range(warm):
        step()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(more):
            step()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def tensors():
    """How many tensors there are."""
    gc.collect()
    return sum(1 for each in gc.get_objects() if type(each) in (torch.Tensor, nn.Parameter))


def leaking(count):
    """A model of ``count`` parameters whose optimizer moves them on grads of zeros."""
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(count // 2)))
    optimizer = DECAYING(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return model, optimizer


def test_nothing_grows_with_the_steps_on_which_everything_leaks():
    model, optimizer = leaking(20)
    with watch(model, optimizer, causes=False) as leaks:
        assert grown(optimizer.step, warm=150, more=300) < 40_000
        before = tensors()
        for _ in range(50):
            optimizer.step()
        assert tensors() <= before
    assert "500 of 500" in leaks.summary()
    assert leaks.findings.steps == [500]


def test_nothing_grows_with_the_steps_on_which_many_rows_leak():
    weight = nn.Parameter(torch.randn(2000, 2))
    optimizer = optim.AdamW([weight], 1e-3)

    def step():
        weight[torch.arange(10)].sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    with watch({"weight": weight}, optimizer, granularity="row", causes=False) as leaks:
        assert grown(step, warm=120, more=60) < 60_000
    assert leaks.leaks
    assert leaks.leaks[0].rows == tuple(range(10, 2000))


def test_nothing_grows_with_steps_that_are_quiet():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    optimizer = optim.AdamW(model.parameters())

    def step():
        model(torch.randn(2, 2)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    with watch(model, optimizer) as leaks:
        assert grown(step, warm=50, more=200) < 30_000
    assert leaks.leaks == ()


def test_the_table_has_the_first_leaks_and_the_summary_counts_all():
    model, optimizer = leaking(2)
    with watch(model, optimizer) as leaks:
        for _ in range(700):
            optimizer.step()
    steps = leaks.table()["step"]
    assert set(range(10)) <= set(steps)
    assert "700 of 700" in leaks.summary()


@pytest.mark.parametrize("held", [0.5, 0.9])
def test_what_keeps_still_costs_a_few_bytes_a_tensor(held):
    """Not a copy: a million elements frozen and held by the optimizer, and little kept."""
    frozen = int(10 * held)
    model = nn.Sequential(*(nn.Linear(300, 300) for _ in range(10)))
    for layer in model[:frozen]:
        layer.requires_grad_(False)
    optimizer = optim.AdamW(model.parameters())
    with watch(model, optimizer) as leaks:
        for _ in range(3):
            model(torch.randn(2, 300)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        assert leaks.held_bytes <= 16 * 20
    assert leaks.held_bytes == 0
    assert leaks.leaks == ()


def test_no_tensor_is_left_when_a_watch_has_ended():
    model, optimizer = leaking(4)

    def watched():
        with watch(model, optimizer) as leaks:
            for _ in range(5):
                optimizer.step()
        return leaks

    first = watched()
    before = tensors()
    second = watched()
    assert tensors() <= before
    assert first.held_bytes == second.held_bytes == 0


class Counting(optim.SGD):
    """Counts every step that is taken, rehearsals' too."""

    steps = 0

    def step(self, closure=None):
        Counting.steps += 1
        return super().step(closure)


@pytest.mark.parametrize("grads", ["None", "zeros"])
def test_rehearsals_are_as_many_for_many_parameters_as_for_few(grads):
    """One for each kind of circumstances, not one for each parameter."""

    def taken(count):
        model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(count // 2)))
        optimizer = Counting(model.parameters(), lr=0.1, weight_decay=0.1)
        if grads == "zeros":
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter)
        Counting.steps = 0
        with watch(model, optimizer) as leaks:
            for _ in range(3):
                optimizer.step()
        assert len(leaks.leaks) == (3 * count if grads == "zeros" else 0)
        return Counting.steps

    assert taken(200) == taken(20)
