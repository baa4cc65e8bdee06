"""From a row and a setting to constructor arguments, and to what comes first."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from sweep.optimizers import registry
from sweep.optimizers.build import build_optimizer, constructor_arguments
from sweep.optimizers.entry import STEPS
from sweep.values.setting import Setting

ADAM = registry.lookup("Adam")


@pytest.mark.parametrize(
    ("optimizer", "axes", "options", "expected"),
    [
        ("SGD", (0.1, 0.5, 0.9), {}, {"lr": 0.1, "weight_decay": 0.5, "momentum": 0.9}),
        ("Adam", (0.1, None, 0.5), {}, {"lr": 0.1, "betas": (0.5, 0.999)}),
        ("Adam", (0.1, None, 0.5), {"betas[1]": 0.7}, {"lr": 0.1, "betas": (0.5, 0.7)}),
        ("Adam", (None, None, None), {"betas": [0.1, 0.2]}, {"betas": (0.1, 0.2)}),
        ("Adam", (None, None, 0.5), {"betas": [0.1, 0.2]}, {"betas": (0.5, 0.2)}),
        ("LBFGS", (1.0, None, None), {"max_iter": STEPS}, {"lr": 1.0, "max_iter": 13}),
        ("Adagrad", (0.1, None, 0.9), {}, {"lr": 0.1}),
    ],
)
def test_axes_and_options_become_constructor_arguments(optimizer, axes, options, expected):
    setting = Setting(optimizer, *axes)
    entry = registry.lookup(optimizer)
    assert constructor_arguments(entry, setting, options, steps=13) == expected


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))


def _build(entry, model, groups):
    setting = Setting("any", lr=0.1, weight_decay=0.0, momentum=0.9)
    return build_optimizer(entry, groups, model, setting, {}, steps=13)


def test_each_group_of_parameters_becomes_one_of_the_optimizer(model):
    named = dict(model.named_parameters())
    optimizer = _build(ADAM, model, [{name: value} for name, value in named.items()])
    assert [group["params"] for group in optimizer.param_groups] == [[p] for p in named.values()]


def test_what_a_row_says_of_its_groups_is_in_every_group(model):
    entry = replace(ADAM, group_options={"use_muon": True})
    named = dict(model.named_parameters())
    for groups in ([named], [{name: value} for name, value in named.items()]):
        optimizer = _build(entry, model, groups)
        assert [group["use_muon"] for group in optimizer.param_groups] == [True] * len(groups)


def test_an_optimizer_that_takes_a_model_is_handed_the_model(model, tmp_path, monkeypatch):
    (tmp_path / "takes_model.py").write_text(
        "import torch\n"
        "class Whole(torch.optim.SGD):\n"
        "    def __init__(self, model, lr):\n"
        "        super().__init__(model.parameters(), lr)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    own = registry.lookup("takes_model:Whole")
    optimizer = _build(replace(own, takes_model=True), model, [])
    assert optimizer.param_groups[0]["params"] == list(model.parameters())


def test_what_the_constructor_raises_is_passed_on(model):
    setting = Setting("Adam", lr=-1.0, weight_decay=0.0, momentum=0.9)
    with pytest.raises(ValueError, match="Invalid learning rate"):
        build_optimizer(ADAM, [{"w": torch.ones(1)}], model, setting, {}, steps=1)
