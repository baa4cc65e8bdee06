"""What a watch says of the loops that people write."""

import pytest
import torch
from torch import nn

from sweep import watch

FIRST = {"first.weight", "first.bias"}


def leaking(leaks):
    return {leak.parameter for leak in leaks.leaks}


def test_a_stale_grad_is_found_as_the_cause(model, train):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer) as leaks:
        for step in range(4):
            model(torch.randn(5, 4), detach=step > 1).sum().backward()
            optimizer.step()
    assert leaking(leaks) == FIRST
    table = leaks.table()
    assert set(table.loc[table.step == 2, "cause"]) == {"gradient"}
    assert set(table.grad) == {"nonzero"}


def test_clipping_a_stale_grad_is_no_gradient(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer) as leaks:
        for step in range(4):
            model(torch.randn(5, 4), detach=step > 1).square().sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    assert leaking(leaks) == FIRST
    assert {leak.step for leak in leaks.leaks} == {2, 3}


@pytest.mark.parametrize("to_none", [True, False])
def test_clipping_a_fresh_gradient_is_no_leak(model, to_none):
    optimizer = torch.optim.Adam(model.parameters())
    with watch(model, optimizer) as leaks:
        for _ in range(4):
            model(torch.randn(5, 4)).square().sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad(set_to_none=to_none)
    assert leaks.leaks == ()


def test_a_gradient_from_any_of_several_backward_calls_counts(model):
    optimizer = torch.optim.Adam(model.parameters())
    with watch(model, optimizer) as leaks:
        for step in range(6):
            for part in range(3):
                detach = part != 0 or step >= 4
                (model(torch.randn(5, 4), detach=detach).sum() / 3).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    assert {leak.step for leak in leaks.leaks} == {4, 5}


def test_requires_grad_toggled_during_training_is_followed(model):
    optimizer = torch.optim.Adam(model.parameters())
    model.first.requires_grad_(False)
    with watch(model, optimizer) as leaks:
        for step in range(9):
            model.first.requires_grad_(step % 3 == 1)
            model(torch.randn(5, 4)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    assert leaking(leaks) == FIRST
    assert {leak.step for leak in leaks.leaks} == {2, 3, 5, 6, 8}
    assert model.first.weight.requires_grad is False


def test_parameters_added_later_are_watched_from_then_on(model, train):
    optimizer = torch.optim.SGD(model.second.parameters(), lr=0.1, momentum=0.9)
    with watch(model, optimizer) as leaks:
        train(model, optimizer, 3, to_none=False)
        optimizer.add_param_group({"params": model.first.parameters()})
        model.zero_grad(set_to_none=False)
        train(model, optimizer, 3, to_none=False)
    assert leaking(leaks) == FIRST
    assert {leak.step for leak in leaks.leaks} == {4}


def test_a_layer_that_the_model_gains_later_is_watched_too(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    with watch(model, optimizer) as leaks:
        model.third = nn.Linear(2, 2)
        optimizer.add_param_group({"params": model.third.parameters()})
        for parameter in model.third.parameters():
            parameter.grad = torch.zeros_like(parameter)
        for _ in range(2):
            model(torch.randn(5, 4)).sum().backward()
            optimizer.step()
    assert leaking(leaks) == {"third.weight", "third.bias"}


@pytest.mark.parametrize("to_none", [True, False])
def test_a_skipped_step_neither_hides_a_leak_nor_makes_one(model, to_none):
    optimizer = torch.optim.Adam(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with watch(model, optimizer) as leaks:
        for step in range(4):
            loss = model(torch.randn(5, 4), detach=step == 3).square().sum()
            scaler.scale(loss * float("inf") if step == 2 else loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=to_none)
    assert leaks.findings.steps == [3]
    assert leaking(leaks) == (set() if to_none else FIRST)
    assert {leak.step for leak in leaks.leaks} == (set() if to_none else {2})


def test_lbfgs_moves_a_layer_whose_grad_is_none_and_no_other_is_blamed(model):
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    x = torch.randn(5, 4)
    with watch(model, optimizer) as leaks:
        for step in range(4):

            def closure(step=step):
                optimizer.zero_grad()
                loss = model(x, detach=step == 3).square().sum()
                loss.backward()
                return loss

            optimizer.step(closure)
    assert leaking(leaks) == FIRST
    assert set(leaks.table().cause) == {"despite None"}
    assert set(leaks.table().step) == {3}


def test_two_optimizers_are_judged_by_their_own_steps(model):
    one = torch.optim.SGD(model.first.parameters(), lr=0.1, momentum=0.9)
    two = torch.optim.Adam(model.second.parameters())
    with watch(model, one, two) as leaks:
        for step in range(4):
            model(torch.randn(5, 4), detach=step == 3).sum().backward()
            two.step()
            two.zero_grad()
            if step > 0:
                one.step()
                one.zero_grad(set_to_none=False)
    assert leaking(leaks) == FIRST
    assert leaks.findings.steps == [3, 4]
    assert {(leak.optimizer, leak.step) for leak in leaks.leaks} == {(0, 2)}


def test_a_tied_parameter_is_one_and_a_gradient_by_either_use_counts():
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embedding"].weight
    optimizer = torch.optim.Adam(model.parameters())
    words = torch.tensor([1, 2])
    with watch(model, optimizer, frozen=None) as leaks:
        for step in range(3):
            hidden = model["embedding"](words)
            model["head"](hidden.detach() if step else hidden).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    assert leaks.leaks == ()
    with watch(model, optimizer, frozen=["head.weight"]) as leaks:
        model["head"](model["embedding"](words)).sum().backward()
        optimizer.step()
    assert leaking(leaks) == {"embedding.weight"}


def test_sparse_grads_are_gradients(model):
    embedding = nn.Embedding(6, 2, sparse=True)
    optimizer = torch.optim.SparseAdam(embedding.parameters(), lr=0.1)
    with watch(embedding, optimizer) as leaks:
        for step in range(4):
            if step < 2:
                embedding(torch.tensor([step])).sum().backward()
            optimizer.step()
            if step < 1:
                optimizer.zero_grad()
    assert [leak.step for leak in leaks.leaks] == [2, 3]  # its grad is stale
    assert str(leaks.leaks[0].explanation) == "gradient"


def test_experts_that_no_token_was_routed_to_are_quiet():
    experts = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))
    optimizer = torch.optim.AdamW(experts.parameters(), lr=0.1)
    with watch(experts, optimizer) as leaks:
        for step in range(6):
            experts[step % 3](torch.randn(4, 3)).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    weights = {(leak.parameter, leak.step) for leak in leaks.leaks if "weight" in leak.parameter}
    unrouted = {"0.weight": (1, 2, 4, 5), "1.weight": (2, 3, 5), "2.weight": (3, 4)}
    assert weights == {(name, step) for name, steps in unrouted.items() for step in steps}


def test_a_grad_that_is_assigned_by_hand_is_a_gradient(model):
    optimizer = torch.optim.Adam(model.parameters())
    with watch(model, optimizer) as leaks:
        for _ in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
    assert leaks.leaks == ()


def test_a_gradient_that_was_there_before_the_watch_counts_unless_it_is_zeros(model, train):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, optimizer, 2, to_none=False)
    model(torch.randn(5, 4), detach=True).sum().backward()
    with watch(model, optimizer) as leaks:
        optimizer.step()
    assert leaking(leaks) == FIRST
    model(torch.randn(5, 4)).sum().backward()
    with watch(model, optimizer) as leaks:
        optimizer.step()
    assert leaks.leaks == ()


def test_zeros_that_arrive_count_unless_asked_otherwise(model):
    model.first.weight.register_hook(torch.zeros_like)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    found = []
    for zeros_count in (True, False):
        with watch(model, optimizer, zeros_count=zeros_count) as leaks:
            model(torch.randn(5, 4)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        found.append([(leak.parameter, str(leak.explanation)) for leak in leaks.leaks])
    assert found == [[], [("first.weight", "decay")]]


def test_frozen_parameters_must_not_move_even_if_a_gradient_reaches_them(model, train):
    optimizer = torch.optim.AdamW(model.parameters())
    with watch(model, optimizer, frozen=["first"]) as leaks:
        train(model, optimizer, 2, detached=lambda _: False)
    assert leaking(leaks) == FIRST
    assert set(leaks.table().cause.dropna()) == {"decay, gradient"}
