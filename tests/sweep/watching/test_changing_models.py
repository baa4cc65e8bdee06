"""A model that changes while it is watched: parameters are known by identity and read anew.

Nothing here may raise out of ``step()``. Reports: kohjingyu/fromage#18, transformers#26861, #3532.
"""

import copy
from functools import partial

import pytest
import torch
from torch import nn, optim
from torch.nn.utils import parametrizations, parametrize
from witness import Witness, bits, told

from sweep import watch

MOMENTUM = partial(optim.SGD, lr=0.1, momentum=0.9)
DECAYING = partial(optim.AdamW, lr=0.1, weight_decay=0.5)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))


def batch(model):
    return torch.randn(8, 3).to(model[0].weight.dtype)


def place(optimizer, old, new):
    """Puts ``new`` where ``old`` was in the optimizer's groups."""
    for group in optimizer.param_groups:
        group["params"] = [new if each is old else each for each in group["params"]]


@pytest.mark.parametrize("keeps_state", [True, False])
def test_a_parameter_that_takes_another_s_place_is_watched_from_then_on(keeps_state):
    model = net()
    optimizer = DECAYING(model.parameters())
    witness = Witness(model.named_parameters())
    with watch(model, optimizer) as leaks:
        for step in range(6):
            if step == 2:
                old, model[0].weight = model[0].weight, nn.Parameter(torch.randn(3, 3))
                place(optimizer, old, model[0].weight)
                state = optimizer.state.pop(old)
                if keeps_state:
                    optimizer.state[model[0].weight] = state
                witness.also(model.named_parameters())
            model[0].weight.requires_grad_(step < 3)
            model(batch(model)).sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad(set_to_none=False)
    true = witness.moved(lambda name, step: name == "0.weight" and step >= 3)
    assert true == {("0.weight", step) for step in (3, 4, 5)}
    assert told(leaks) == true


def test_one_that_is_replaced_twice_is_three_parameters_of_one_name():
    model = net()
    optimizer, witness = MOMENTUM(model.parameters()), Witness(model.named_parameters())
    with watch(model, optimizer) as leaks:
        for step in range(9):
            if step in (3, 6):
                old, model[0].weight = model[0].weight, nn.Parameter(torch.randn(3, 3))
                place(optimizer, old, model[0].weight)
                witness.also(model.named_parameters())
            model[0].weight.requires_grad_(step % 3 == 0)
            model(batch(model)).square().sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad(set_to_none=False)
    true = witness.moved(lambda name, step: name == "0.weight" and step % 3 != 0)
    assert {step for _, step in true} == {1, 2, 4, 5, 7, 8}
    assert told(leaks) == true


def test_a_replaced_head_in_a_group_of_its_own_leaks_when_it_is_frozen_later():
    model = net()
    optimizer, witness = MOMENTUM(model.parameters()), Witness(model.named_parameters())
    with watch(model, optimizer) as leaks:
        for step in range(6):
            if step == 2:
                model[2] = nn.Linear(3, 2)
                optimizer.add_param_group({"params": model[2].parameters()})
                witness.also(model.named_parameters())
            model[2].requires_grad_(step < 4)
            model(batch(model)).square().sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad(set_to_none=False)
    true = witness.moved(lambda name, step: name.startswith("2.") and step >= 4)
    assert true == {(f"2.{part}", step) for part in ("weight", "bias") for step in (4, 5)}
    assert {each for each in told(leaks) if each[0].startswith("2.")} >= true


def grow(layer):
    layer.weight.data = torch.cat([layer.weight.data, torch.randn(1, layer.weight.shape[1])])


def shrink(layer):
    layer.weight.data = layer.weight.data[:-1].clone()


def to_bfloat16(layer):
    layer.bfloat16()


def to_float64(layer):
    layer.double()


def elsewhere(layer):
    layer.weight.data = layer.weight.data.clone() + 1.0


CHANGES = {
    "grows": grow,
    "shrinks": shrink,
    "becomes bfloat16": to_bfloat16,
    "becomes float64": to_float64,
    "has other values": elsewhere,
}


@pytest.mark.parametrize("granularity", ["parameter", "row"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_steps_is_no_leak_and_breaks_nothing(change, granularity):
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    optimizer, witness = optim.SGD(model.parameters(), lr=0.1), Witness(model.named_parameters())
    with watch(model, optimizer, granularity=granularity) as leaks:
        for step in range(4):
            if step == 2:
                CHANGES[change](model[0])
            hidden = model[0](torch.tensor([0, 1])).to(torch.float32)
            model[1](hidden).sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad()
    assert witness.moved(lambda name, _: name.startswith("0.")) == set()
    assert told(leaks) == set()
    assert leaks.findings.steps == [4]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_whole_model_that_changes_its_type_leaks_only_what_step_moves(dtype):
    """With momentum the layer does move, before and after; by no other step is it said to."""
    model = net()
    optimizer, witness = optim.SGD(model.parameters(), lr=0.1), Witness(model.named_parameters())
    model[0].requires_grad_(False)
    with watch(model, optimizer) as leaks:
        for step in range(3):
            if step == 1:
                model.to(dtype)
            model(batch(model)).sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad()
    assert told(leaks) == witness.moved(lambda name, _: name.startswith("0.")) == set()


def test_an_embedding_that_grows_and_decays_leaks_on_each_step_all_the_same():
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    witness = Witness(model.named_parameters())
    with watch(model, optimizer) as leaks:
        for step in range(4):
            model[0].weight.requires_grad_(step == 0)
            model(torch.tensor([0, 1])).sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad(set_to_none=False)
            if step == 1:
                model[0].weight.grad = None  # of the old shape
                grow(model[0])
                model[0].weight.grad = torch.zeros_like(model[0].weight)
    true = witness.moved(lambda name, step: name == "0.weight" and step >= 1)
    assert {step for _, step in true} == {1, 2, 3}
    assert told(leaks) == true


def test_a_parameter_that_moves_to_meta_ends_its_judging_and_no_more():
    model = nn.ModuleDict({"a": nn.Linear(3, 1), "b": nn.Linear(3, 1)})
    optimizer = MOMENTUM(model.parameters())
    with watch(model, optimizer) as leaks:
        for step in range(4):
            if step == 2:
                model["a"].to("meta")
                for parameter in model["a"].parameters():
                    parameter.grad = None
            if step < 2:
                model["a"](torch.randn(2, 3)).sum().backward()
            if step % 2 == 0:
                model["b"](torch.randn(2, 3)).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    assert {step for name, step in told(leaks) if name == "b.weight"} == {1, 3}
    assert leaks.findings.steps == [4]


def test_an_adapter_that_is_added_later_trains_and_its_base_keeps_still():
    """LoRA as PEFT adds it: the layer is wrapped, and its parameters get longer names."""

    class Adapted(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base_layer = base.requires_grad_(False)
            self.lora_A = nn.Parameter(torch.randn(2, 3))
            self.lora_B = nn.Parameter(torch.zeros(3, 2))

        def forward(self, x):
            return self.base_layer(x) + x @ self.lora_A.T @ self.lora_B.T

    model = net()
    optimizer, witness = DECAYING(model.parameters()), Witness({})
    with watch(model, optimizer) as leaks:
        for step in range(5):
            if step == 2:
                model[0] = Adapted(model[0])
                optimizer.add_param_group({"params": [model[0].lora_A, model[0].lora_B]})
                witness.also({n: p for n, p in model.named_parameters() if n.startswith("0.")})
            model(torch.randn(8, 3)).square().sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad()
    assert told(leaks) == witness.moved(lambda name, _: "base_layer" in name) == set()


def test_a_weight_that_is_parametrized_later_is_followed_under_its_new_name():
    model = net()
    optimizer, witness = MOMENTUM(model.parameters()), Witness(model.named_parameters())
    with watch(model, optimizer) as leaks:
        for step in range(6):
            if step == 2:
                parametrizations.weight_norm(model[0])
                new = [p for n, p in model[0].named_parameters() if "original" in n]
                optimizer.add_param_group({"params": new})
                witness.also(model.named_parameters())
            if step == 4:
                model[0].requires_grad_(False)
            model(batch(model)).square().sum().backward()
            witness.step(optimizer)
            optimizer.zero_grad(set_to_none=False)
    assert parametrize.is_parametrized(model[0])
    true = witness.moved(lambda name, step: "parametrizations" in name and step >= 4)
    assert len(true) == 4
    assert {each for each in told(leaks) if "parametrizations" in each[0]} == true


@pytest.mark.parametrize("change", [*CHANGES, "replaced"])
def test_the_training_of_a_changing_model_has_the_same_bits_under_watch(change):
    def trained(watched):
        model = net()
        model[0].requires_grad_(False)
        optimizer = MOMENTUM(model.parameters())
        torch.manual_seed(1)

        def loop():
            for step in range(4):
                if step == 2 and change == "replaced":
                    old, model[0].weight = model[0].weight, nn.Parameter(torch.ones(3, 3))
                    place(optimizer, old, model[0].weight)
                elif step == 2 and change in ("becomes bfloat16", "becomes float64"):
                    CHANGES[change](model)
                elif step == 2:
                    CHANGES["has other values"](model[0])
                model(batch(model)).square().sum().backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)

        if watched:
            with watch(model, optimizer, granularity="row"):
                loop()
        else:
            loop()
        return [bits(p) for p in model.parameters()]

    for bare, watched in zip(trained(False), trained(True), strict=True):
        assert torch.equal(bare, watched)


def test_a_copy_of_the_model_that_takes_its_place_is_not_mistaken_for_it():
    """The optimizer goes on with the old parameters: the model's own no longer train."""
    model = nn.ModuleDict({"body": nn.Linear(3, 3)})
    optimizer = MOMENTUM(model.parameters())
    with watch(model, optimizer) as leaks:
        for step in range(4):
            if step == 2:
                model["body"] = copy.deepcopy(model["body"])
            model["body"](torch.randn(2, 3)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    said = leaks.summary()
    assert "body.weight" in said
    assert "A gradient reached all" not in said
