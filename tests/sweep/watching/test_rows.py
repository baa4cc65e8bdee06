"""Rows of one parameter that move though their word was in no batch."""

import pytest
import torch
from torch import nn

from sweep import watch


def train(embedding, optimizer, batches, *, to_none=True):
    for words in batches:
        embedding(torch.tensor(words)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=to_none)


def found(leaks):
    return {leak.step: leak.rows for leak in leaks.leaks}


@pytest.mark.parametrize("to_none", [True, False])
def test_rows_that_were_in_an_earlier_batch_move_under_adam(to_none):
    embedding = nn.Embedding(6, 3)
    optimizer = torch.optim.Adam(embedding.parameters(), lr=0.1)
    with watch(embedding, optimizer, granularity="row") as leaks:
        train(embedding, optimizer, [[0, 1], [1, 2], [5, 5]], to_none=to_none)
    assert found(leaks) == {1: (0,), 2: (0, 1, 2)}
    assert str(leaks.leaks[0].explanation) == "history"
    assert leaks.table().loc[1, "rows"] == 3
    assert "weight [rows 0, 1, 2]: 2 of 3 steps" in leaks.summary()
    assert "nn.Embedding(sparse=True)" in leaks.summary()


def test_whole_parameters_show_nothing_of_it():
    embedding = nn.Embedding(6, 3)
    optimizer = torch.optim.Adam(embedding.parameters(), lr=0.1)
    with watch(embedding, optimizer) as leaks:
        train(embedding, optimizer, [[0, 1], [1, 2], [5, 5]])
    assert leaks.leaks == ()


@pytest.mark.parametrize(
    ("build", "sparse"),
    [
        (lambda p: torch.optim.SGD(p, lr=0.1), False),
        (lambda p: torch.optim.SGD(p, lr=0.1), True),
        (lambda p: torch.optim.SparseAdam(p, lr=0.1), True),
    ],
    ids=["SGD dense", "SGD sparse", "SparseAdam"],
)
def test_the_remedies_hold(build, sparse):
    embedding = nn.Embedding(6, 3, sparse=sparse)
    optimizer = build(embedding.parameters())
    with watch(embedding, optimizer, granularity="row") as leaks:
        train(embedding, optimizer, [[0, 1], [1, 2], [5, 5]])
    assert leaks.leaks == ()


def test_decay_moves_every_row_that_got_no_gradient():
    embedding = nn.Embedding(4, 2)
    optimizer = torch.optim.SGD(embedding.parameters(), lr=0.1, weight_decay=0.1)
    with watch(embedding, optimizer, granularity="row") as leaks:
        train(embedding, optimizer, [[1]])
    assert found(leaks) == {0: (0, 2, 3)}
    assert str(leaks.leaks[0].explanation) == "decay"


@pytest.mark.parametrize("sparse", [False, True])
def test_a_stale_row_of_a_grad_is_no_gradient(sparse):
    embedding = nn.Embedding(4, 2, sparse=sparse)
    optimizer = torch.optim.SGD(embedding.parameters(), lr=0.1)
    with watch(embedding, optimizer, granularity="row") as leaks:
        for words in ([0], [1]):
            embedding(torch.tensor(words)).square().sum().backward()
            optimizer.step()
    assert found(leaks) == {1: (0,)}
    assert str(leaks.leaks[0].explanation) == "gradient"


def test_rows_of_an_assigned_grad_are_those_that_are_not_zero():
    embedding = nn.Embedding(3, 2)
    optimizer = torch.optim.SGD(embedding.parameters(), lr=0.1, weight_decay=0.1)
    with watch(embedding, optimizer, granularity="row") as leaks:
        embedding.weight.grad = torch.tensor([[0.0, 1.0], [0.0, 0.0], [2.0, 0.0]])
        optimizer.step()
    assert found(leaks) == {0: (1,)}


def test_a_scalar_is_judged_as_a_whole():
    scale = nn.Parameter(torch.tensor(2.0))
    optimizer = torch.optim.SGD([scale], lr=0.1, momentum=0.9)
    with watch([("scale", scale)], optimizer, granularity="row") as leaks:
        (scale * 3).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        optimizer.step()
    assert [(leak.step, leak.rows) for leak in leaks.leaks] == [(1, (0,))]


def test_a_closure_brings_rows_too():
    embedding = nn.Embedding(4, 2)
    optimizer = torch.optim.SGD(embedding.parameters(), lr=0.1, weight_decay=0.1)

    def closure():
        optimizer.zero_grad()
        loss = embedding(torch.tensor([1, 3])).square().sum()
        loss.backward()
        return loss

    with watch(embedding, optimizer, granularity="row") as leaks:
        optimizer.step(closure)
    assert found(leaks) == {0: (0, 2)}
