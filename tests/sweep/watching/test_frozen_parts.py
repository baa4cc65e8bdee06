"""``frozen=`` with masks: "only the new tokens' rows train" is said, and judged, and no more."""

from functools import partial

import pytest
import torch
from torch import nn, optim
from witness import Witness, bits, told, told_rows

from sweep import watch
from sweep.errors import LeakError, MisuseError, UnknownNameError

OLD, WORDS, WIDTH = 6, 8, 3
ADAMW = partial(optim.AdamW, lr=0.1)


def embedded():
    torch.manual_seed(0)
    return nn.ModuleDict({"embed": nn.Embedding(WORDS, WIDTH), "head": nn.Linear(WIDTH, 1)})


def old_rows():
    mask = torch.zeros(WORDS, dtype=torch.bool)
    mask[:OLD] = True
    return mask


MASKS = {
    "boolean, a value a row": old_rows(),
    "boolean, of its shape": old_rows()[:, None].expand(WORDS, WIDTH),
    "numbers": list(range(OLD)),
    "a range": range(OLD),
    "a tensor of numbers": torch.arange(OLD),
    "numbers from the end": [-8, -7, -6, -5, -4, -3],
}


def trained(frozen, *, masked=False, build=ADAMW, steps=3, words=(0, 1, 7), **options):
    model = embedded()
    optimizer, witness = build(model.parameters()), Witness(model.named_parameters())
    with watch(model, optimizer, frozen=frozen, **options) as leaks:
        for _ in range(steps):
            model["head"](model["embed"](torch.tensor(words))).square().sum().backward()
            if masked:
                model["embed"].weight.grad[:OLD] = 0
            witness.step(optimizer)
            optimizer.zero_grad()
    true = witness.rows_moved(lambda name, row, _: name == "embed.weight" and row < OLD)
    return true, leaks


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("masked", [True, False])
def test_rows_that_are_to_keep_still_leak_with_a_gradient_and_without(mask, masked):
    true, leaks = trained({"embed.weight": MASKS[mask]}, masked=masked)
    assert {row for _, row, _ in true} == set(range(OLD))
    assert told_rows(leaks) == true
    assert set(leaks.table()["parameter"]) == {"embed.weight"}


@pytest.mark.parametrize("name", ["embed.weight", "embed", "*.weight", "embed*"])
def test_a_mask_is_for_what_the_name_means(name):
    if name == "*.weight":
        with pytest.raises(MisuseError, match=r"head\.weight.*of shape \(1, 3\)"):
            trained({name: MASKS["a range"]})
        return
    true, leaks = trained({name: MASKS["a range"]})
    assert told_rows(leaks) == true


def test_where_the_remedy_is_on_the_old_rows_hold_and_the_dead_ones_are_no_noise():
    """Without decay, rows whose grads are zeroed keep still."""
    build = partial(optim.AdamW, lr=0.1, weight_decay=0.0)
    true, leaks = trained({"embed.weight": range(OLD)}, masked=True, build=build)
    assert told_rows(leaks) == true == set()
    leaks.raise_if_any()


@pytest.mark.parametrize("granularity", ["parameter", "row"])
def test_of_what_has_a_mask_the_mask_alone_is_judged(granularity):
    """Row 6 is in no batch and decays: a dead row, of which nothing was asked."""
    true, leaks = trained({"embed.weight": range(OLD)}, masked=True, granularity=granularity)
    assert told_rows(leaks) == true


@pytest.mark.parametrize("build", [ADAMW, partial(optim.SGD, lr=0.1, weight_decay=0.1)])
def test_single_elements_are_judged_by_themselves(build):
    torch.manual_seed(0)
    layer = nn.Linear(3, 4, bias=False)
    pruned = torch.zeros(4, 3, dtype=torch.bool)
    pruned[0, 1] = pruned[2, 0] = True
    optimizer = build(layer.parameters())
    moved = set()
    with watch(layer, optimizer, frozen={"weight": pruned}) as leaks:
        for step in range(3):
            layer(torch.randn(5, 3)).square().sum().backward()
            layer.weight.grad[pruned] = 0
            before = layer.weight.detach().clone()
            optimizer.step()
            differs = (before != layer.weight) & pruned
            moved |= {("weight", int(row), step) for row, _ in differs.nonzero()}
            optimizer.zero_grad()
    assert {row for _, row, _ in moved} == {0, 2}
    assert told_rows(leaks) == moved
    assert set(leaks.table()["cause"].dropna()) == {"decay"}


def test_elements_that_keep_still_beside_others_that_train_are_no_leak():
    torch.manual_seed(0)
    layer = nn.Linear(3, 4, bias=False)
    pruned = torch.rand(4, 3) < 0.5
    layer.weight.register_hook(lambda grad: grad.masked_fill(pruned, 0))
    optimizer = optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    before = bits(layer.weight)
    with watch(layer, optimizer, frozen={"weight": pruned}) as leaks:
        for _ in range(3):
            layer(torch.randn(5, 3)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert told(leaks) == set()
    assert not torch.equal(before, bits(layer.weight))


@pytest.mark.parametrize("value", [True, None])
def test_true_means_the_whole(value):
    _, leaks = trained({"embed": value})
    assert told(leaks) == {("embed.weight", step) for step in range(3)}


@pytest.mark.parametrize(
    ("mask", "came"),
    [
        (torch.ones(3, dtype=torch.bool), r"torch.bool of shape \(3,\)"),
        (torch.ones(WORDS, WIDTH + 1, dtype=torch.bool), r"torch.bool of shape \(8, 4\)"),
        ([0, WORDS], r"torch.int64 of shape \(2,\)"),
        (torch.ones(WORDS), r"torch.float32 of shape \(8,\)"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_with_what_came(mask, came):
    with pytest.raises(MisuseError, match=rf"'embed.weight', of shape \(8, 3\).*{came}"):
        trained({"embed.weight": mask})


def test_a_mask_for_what_the_model_lacks_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'embde.weight'. Did you mean embed.weight"):
        trained({"embde.weight": range(OLD)})


@pytest.mark.parametrize("frozen", [lambda m: m["embed"], lambda m: [m["embed"].weight]])
def test_modules_and_parameters_themselves_will_do_for_names(frozen):
    model = embedded()
    optimizer = ADAMW(model.parameters())
    with watch(model, optimizer, frozen=frozen(model)) as leaks:
        model["head"](model["embed"](torch.tensor([0]))).sum().backward()
        optimizer.step()
    assert told(leaks) == {("embed.weight", 0)}


def test_what_is_frozen_and_trains_fails_and_says_that_a_gradient_came():
    _, leaks = trained({"embed.weight": [0]}, build=partial(optim.SGD, lr=0.1))
    with pytest.raises(LeakError, match=r"(?s)embed\.weight.*gradient"):
        leaks.raise_if_any()
