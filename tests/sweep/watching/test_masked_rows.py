"""Rows whose grad is masked after ``backward()``, or by a hook, are judged by what the step finds.

Reports: huggingface/diffusers#1009, he-y/filter-pruning-geometric-median#47,
LAMDA-CL/LAMDA-PILOT#21, nerfstudio-project/gsplat#432, baichuan-inc/Baichuan2#383.
"""

from functools import partial

import pytest
import torch
from torch import nn, optim
from witness import Witness, told_rows

from sweep import watch

WORDS, NEW, WIDTH = 12, 11, 4
ADAMW = partial(optim.AdamW, lr=0.1)


def others():
    """1 for the new word, 0 for the others, of shape ``(words, 1)``."""
    mask = torch.zeros(WORDS, 1)
    mask[NEW] = 1
    return mask


def cleared(grad):
    """The grad with the others' rows zeroed, as ``index_fill`` has it."""
    return grad.index_fill(0, torch.arange(NEW), 0)


MASKS = {
    "index": lambda p: p.grad.__setitem__(torch.arange(WORDS) != NEW, 0),
    "slice": lambda p: p.grad[:NEW].zero_(),
    "mul_": lambda p: p.grad.mul_(others()),
    "data.mul_": lambda p: p.grad.data.mul_(others()),
    "copy_": lambda p: p.grad.copy_(p.grad * others()),
    "assigned": lambda p: setattr(p, "grad", p.grad * others()),
    "data assigned": lambda p: setattr(p.grad, "data", p.grad.data * others()),
    "where": lambda p: setattr(p, "grad", torch.where(others() > 0, p.grad, 0.0)),
    "masked_fill_": lambda p: p.grad.masked_fill_(others() == 0, 0),
    "index_fill": lambda p: setattr(p, "grad", cleared(p.grad)),
}
HOOKS = {
    "multiplies": lambda grad: grad * others(),
    "a copy": cleared,
    "where": lambda grad: torch.where(others() > 0, grad, torch.zeros_like(grad)),
}


def embedded(dtype=torch.float32):
    """An embedding that trains and a body that does not."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(WIDTH, 5), nn.ReLU(), nn.Linear(5, 1)).requires_grad_(False)
    return nn.ModuleDict({"embedding": nn.Embedding(WORDS, WIDTH), "body": body}).to(dtype)


def prompts(steps=4):
    """A few ordinary words and the new one."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        yield torch.cat([torch.randint(0, NEW, (4,), generator=generator), torch.tensor([NEW])])


def trained(model, optimizer, mask=lambda p: None, *, register=None, inside=False, parts=1):
    """What is true and what is told, by row."""
    weight, witness = model["embedding"].weight, Witness(model.named_parameters())
    if register and not inside:
        weight.register_hook(register)
    with watch(model, optimizer, granularity="row") as leaks:
        if register and inside:
            weight.register_hook(register)
        for words in prompts():
            for some in words.flip(0).chunk(parts):
                model["body"](model["embedding"](some)).square().mean().backward()
            mask(weight)
            witness.step(optimizer)
            optimizer.zero_grad()
    true = witness.rows_moved(lambda name, row, _: name.startswith("emb") and row != NEW)
    return true, leaks


ALL_OTHERS = {("embedding.weight", row, step) for row in range(NEW) for step in range(4)}


@pytest.mark.parametrize("mask", MASKS)
def test_diffusers_1009_however_the_rows_are_masked_decay_moves_them(mask):
    model = embedded()
    true, leaks = trained(model, ADAMW(model["embedding"].parameters()), MASKS[mask])
    assert true == ALL_OTHERS
    assert told_rows(leaks) == true
    assert "decay" in leaks.table()["cause"][0]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("hook", HOOKS)
def test_so_by_a_hook_put_on_before_the_watch_or_inside(hook, inside):
    model = embedded()
    optimizer = ADAMW(model["embedding"].parameters())
    true, leaks = trained(model, optimizer, register=HOOKS[hook], inside=inside)
    assert true == ALL_OTHERS
    assert told_rows(leaks) == true


@pytest.mark.parametrize(
    ("build", "moves"),
    [
        (partial(optim.AdamW, lr=0.1, weight_decay=0.0), False),
        (partial(optim.SGD, lr=0.1, momentum=0.9), False),
        (partial(optim.SGD, lr=0.1, weight_decay=0.1), True),
        (partial(optim.Adagrad, lr=0.1), False),
        (partial(optim.RMSprop, lr=0.1, weight_decay=0.1), True),
        (partial(optim.NAdam, lr=0.1), False),
    ],
)
def test_without_decay_rows_that_never_had_a_gradient_hold(build, moves):
    model = embedded()
    true, leaks = trained(model, build(model["embedding"].parameters()), MASKS["mul_"])
    assert bool(true) is moves
    assert told_rows(leaks) == true


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_so_in_every_dtype(dtype):
    model = embedded(dtype)
    optimizer = ADAMW(model["embedding"].parameters(), weight_decay=0.5)
    true, leaks = trained(model, optimizer, MASKS["slice"])
    assert true
    assert told_rows(leaks) == true


def test_rows_that_came_with_different_micro_batches_are_masked_alike():
    model = embedded()
    true, leaks = trained(model, ADAMW(model["embedding"].parameters()), MASKS["mul_"], parts=3)
    assert true == ALL_OTHERS
    assert told_rows(leaks) == true


def test_rows_of_several_micro_batches_all_count():
    model = embedded()
    optimizer = optim.Adam(model["embedding"].parameters(), lr=0.1)
    witness = Witness(model.named_parameters())
    with watch(model, optimizer, granularity="row") as leaks:
        for step in range(3):
            for words in ([0, 1], [2], [3, step + 4]):
                model["body"](model["embedding"](torch.tensor(words))).square().sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad(set_to_none=False)
    true = witness.rows_moved_on_zeros()
    assert {row for _, row, _ in true} == {4, 5}
    assert told_rows(leaks) == true


PRUNED = (1, 4)


@pytest.mark.parametrize("how", ["in place", "assigned", "hook"])
@pytest.mark.parametrize("kind", ["SGD", "Adam", "channels last"])
def test_pruned_filters_revive_by_their_momentum(kind, how):
    """https://github.com/he-y/filter-pruning-geometric-median/issues/47"""
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 6, 3, bias=False)
    model = nn.Sequential(conv, nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 2))
    if kind == "channels last":
        model = model.to(memory_format=torch.channels_last)
    build = optim.Adam if kind == "Adam" else partial(optim.SGD, momentum=0.9)
    optimizer, witness = build(model.parameters(), lr=0.1), Witness(model.named_parameters())
    mask = torch.ones(6, 1, 1, 1)
    mask[list(PRUNED)] = 0
    with watch(model, optimizer, granularity="row") as leaks:
        for step in range(5):
            if step == 2:
                with torch.no_grad():
                    conv.weight.mul_(mask)
                if how == "hook":
                    conv.weight.register_hook(lambda grad: grad * mask)
            model(torch.randn(16, 1, 6, 6)).square().mean().backward()
            if step >= 2 and how == "in place":
                conv.weight.grad.data.mul_(mask)
            if step >= 2 and how == "assigned":
                conv.weight.grad = conv.weight.grad * mask
            witness.step(optimizer)
            optimizer.zero_grad()
    pruned = witness.rows_moved(lambda name, row, step: name == "0.weight" and row in PRUNED)
    assert {(row, step) for _, row, step in pruned} >= {
        (row, s) for row in PRUNED for s in (2, 3, 4)
    }
    true = witness.rows_moved_on_zeros()
    assert {each for each in told_rows(leaks) if each[0] == "0.weight"} == {
        each for each in true if each[0] == "0.weight"
    }
    assert told_rows(leaks) == true
    assert "history" in set(leaks.table()["cause"].dropna())


@pytest.mark.parametrize("reset", [True, False])
def test_an_incremental_head_s_old_classes_move_by_the_optimizer_that_was_kept(reset):
    """https://github.com/LAMDA-CL/LAMDA-PILOT/issues/21"""
    torch.manual_seed(0)
    head, old = nn.Linear(4, 6), 4
    optimizer = optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
    witness = Witness(head.named_parameters())
    with watch(head, optimizer, granularity="row") as leaks:
        for step in range(5):
            head(torch.randn(5, 4)).square().sum().backward()
            if step >= 2:
                head.weight.grad[:old] = 0
                head.bias.grad[:old] = 0
                if reset and step == 2:
                    for state in optimizer.state.values():
                        state["momentum_buffer"][:old] = 0
            witness.step(optimizer)
            optimizer.zero_grad()
    true = witness.rows_moved(lambda _, row, step: row < old and step >= 2)
    assert bool(true) is not reset
    assert told_rows(leaks) == true


def test_gsplat_432_rows_that_a_view_does_not_show_move_by_adam_s_history():
    """https://github.com/nerfstudio-project/gsplat/pull/432"""
    torch.manual_seed(0)
    points = {"means": nn.Parameter(torch.randn(20, 3)), "opacity": nn.Parameter(torch.randn(20))}
    optimizer, witness = optim.Adam(points.values(), 1e-2), Witness(points)
    with watch(points, optimizer, granularity="row") as leaks:
        for _ in range(4):
            seen = torch.randperm(20)[:8]
            (points["means"][seen].sin().sum() + points["opacity"][seen].sin().sum()).backward()
            witness.step(optimizer)
            optimizer.zero_grad()
    true = witness.rows_moved_on_zeros()
    assert len(true) > 40
    assert told_rows(leaks) == true
    assert set(leaks.table()["cause"].dropna()) == {"history"}


def test_rows_of_a_grad_assigned_over_one_left_from_before_the_watch():
    weight = nn.Parameter(torch.ones(4))
    optimizer, witness = optim.SGD([weight], lr=0.1), Witness({"weight": weight})
    weight.grad = torch.tensor([1.0, 0.0, 0.0, 0.0])
    optimizer.step()
    with watch({"weight": weight}, optimizer, granularity="row") as leaks:
        weight.grad = torch.tensor([0.0, 1.0, 1.0, 0.0])
        witness.step(optimizer)
    assert told_rows(leaks) == witness.rows_moved_on_zeros() == set()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_rows_of_a_grad_that_grew_by_hand_since_backward(decay):
    """An all-reduce of one's own, or noise: it has more rows than backward brought."""
    weight = nn.Parameter(torch.ones(4))
    optimizer = optim.SGD([weight], lr=0.1, weight_decay=decay)
    witness = Witness({"weight": weight})
    with watch({"weight": weight}, optimizer, granularity="row") as leaks:
        for add in ("assigned", "in place"):
            weight[:1].sum().backward()
            more = torch.tensor([0.0, 1.0, 1.0, 0.0])
            if add == "assigned":
                weight.grad = weight.grad + more
            else:
                weight.grad.add_(more)
            witness.step(optimizer)
            optimizer.zero_grad()
    true = witness.rows_moved_on_zeros()
    assert true == ({("weight", 3, 0), ("weight", 3, 1)} if decay else set())
    assert told_rows(leaks) == true


def test_a_row_s_leftover_beside_a_fresh_row_has_leaked():
    """Only row 1 is written anew on the second step; nobody cleared row 0."""
    weight = nn.Parameter(torch.ones(3))
    optimizer = optim.SGD([weight], lr=0.1)
    with watch({"weight": weight}, optimizer, granularity="row") as leaks:
        weight[:1].sum().backward()
        optimizer.step()
        weight[1:2].sum().backward()
        optimizer.step()
    assert told_rows(leaks) == {("weight", 0, 1)}
    assert set(leaks.table()["cause"]) == {"gradient"}


def test_masked_in_the_closure():
    model = embedded()
    optimizer = ADAMW(model["embedding"].parameters())
    weight, witness = model["embedding"].weight, Witness(model.named_parameters())

    def closure():
        optimizer.zero_grad()
        loss = model["body"](model["embedding"](torch.tensor([0, 1, NEW]))).square().mean()
        loss.backward()
        weight.grad[:NEW] = 0
        return loss

    with watch(model, optimizer, granularity="row") as leaks:
        for _ in range(4):
            witness.step(optimizer, closure)
    true = witness.rows_moved(lambda name, row, _: name.startswith("emb") and row != NEW)
    assert true == ALL_OTHERS
    assert told_rows(leaks) == true


def test_a_padding_row_with_values_of_its_own_decays():
    """https://github.com/NVIDIA-NeMo/Speech/issues/5726: its gradient is zeros on every step."""
    torch.manual_seed(0)
    embedding = nn.Embedding(4, 3, padding_idx=0)
    with torch.no_grad():
        embedding.weight[0] = 1.0
    optimizer, witness = ADAMW(embedding.parameters()), Witness(embedding.named_parameters())
    with watch(embedding, optimizer, granularity="row") as leaks:
        for _ in range(3):
            embedding(torch.tensor([0, 1, 2, 3])).square().sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad()
    true = witness.rows_moved_on_zeros()
    assert true == {("weight", 0, step) for step in range(3)}
    assert told_rows(leaks) == true
