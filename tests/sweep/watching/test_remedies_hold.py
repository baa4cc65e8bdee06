"""What the account advises is done, in the same loop, and the bits keep still then."""

from functools import partial

import pytest
import torch
from torch import nn, optim
from witness import Witness

from sweep import watch

NEW = 4
BUILDS = {
    "AdamW": partial(optim.AdamW, lr=0.1, weight_decay=0.1),
    "momentum": partial(optim.SGD, lr=0.1, momentum=0.9),
    "decay": partial(optim.SGD, lr=0.1, weight_decay=0.1),
}


class Loop:
    """``body`` trains on the first two steps and is to keep still on three more."""

    clear = "to zeros"
    by_hand = None
    hook = False
    closure = False

    def __init__(self, build):
        torch.manual_seed(0)
        self.model = nn.ModuleDict({"body": nn.Linear(3, 3), "head": nn.Linear(3, 1)})
        self.optimizer = build(self.model.parameters())
        self.apart = None

    def forward(self, step):
        hidden = self.model["body"](torch.randn(4, 3))
        if step >= 2 and not (self.by_hand or self.hook):
            hidden = hidden.detach()
        return self.model["head"](hidden.relu()).square().mean()

    def run(self, **options):
        """The names and steps that moved and should not have, and the watch."""
        witness = Witness(self.model["body"].named_parameters(prefix="body"))
        with watch(self.model, self.optimizer, **options) as leaks:
            for step in range(5):
                if step == 2 and self.hook:
                    for parameter in self.model["body"].parameters():
                        parameter.register_hook(self.hooked)
                self.forward(step).backward()
                if step >= 2:
                    self.freeze()
                self.take(witness)
                if self.clear != "never":
                    self.optimizer.zero_grad(set_to_none=self.clear == "to None")
        return witness.moved(lambda _, step: step >= 2), leaks

    def hooked(self, grad):
        return torch.zeros_like(grad)

    def freeze(self):
        for parameter in self.model["body"].parameters():
            if self.by_hand == "zeros":
                parameter.grad.zero_()
            if self.by_hand == "None":
                parameter.grad = None

    def take(self, witness):
        witness.step(self.optimizer)


class ByHand(Loop):
    by_hand = "zeros"
    clear = "to None"


class Stale(Loop):
    clear = "never"


class Hooked(Loop):
    hook = True
    clear = "to None"


def none_when_cleared(loop):
    loop.clear = "to None"


def none_by_hand(loop):
    loop.by_hand = "None"


REMEDIES = {
    "optimizer.zero_grad(set_to_none=True)": none_when_cleared,
    "set its .grad to None where it is set to zeros": none_by_hand,
    "set it to None before the step, with optimizer.zero_grad()": none_when_cleared,
    "set its .grad to None between backward() and step()": none_by_hand,
}
CASES = [
    (Loop, "optimizer.zero_grad(set_to_none=True)", {}),
    (ByHand, "set its .grad to None where it is set to zeros", {}),
    (Stale, "set it to None before the step, with optimizer.zero_grad()", {}),
    (Hooked, "set its .grad to None between backward() and step()", {"zeros_count": False}),
]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(("kind", "advice", "options"), CASES)
def test_what_is_advised_keeps_it_still(kind, advice, options, build):
    loop = kind(BUILDS[build])
    moved, leaks = loop.run(**options)
    assert len(moved) == 6
    account = leaks.account().set_index("parameter")
    assert advice in account.loc["body.weight", "remedy"]
    remedied = kind(BUILDS[build])
    REMEDIES[advice](remedied)
    moved, leaks = remedied.run(**options)
    assert moved == set()
    leaks.raise_if_any()


@pytest.mark.parametrize("kind", [Loop, ByHand])
def test_a_group_without_decay_is_advised_where_decay_alone_moves_it_and_holds(kind):
    _, leaks = kind(BUILDS["decay"]).run()
    assert "weight_decay=0" in leaks.account()["remedy"][0]
    moved, _ = kind(partial(optim.SGD, lr=0.1)).run()
    assert moved == set()
    for build in ("AdamW", "momentum"):
        _, leaks = kind(BUILDS[build]).run()
        assert "weight_decay=0" not in leaks.account()["remedy"][0]


def embedding_trained(build, *, before, clear_state=False):
    """Old rows train on ``before`` steps, and their grads are zeroed on three more."""
    torch.manual_seed(0)
    table = nn.Embedding(NEW + 1, 2)
    optimizer, witness = build(table.parameters()), Witness(table.named_parameters())
    with watch(
        table, optimizer, frozen={"weight": range(NEW)} if not before else None, granularity="row"
    ) as leaks:
        for step in range(before + 3):
            table(torch.arange(NEW + 1)).square().sum().backward()
            if step >= before:
                table.weight.grad[:NEW] = 0
            if step == before and clear_state:
                for value in optimizer.state[table.weight].values():
                    if value.dim():
                        value[:NEW] = 0
            witness.step(optimizer)
            optimizer.zero_grad()
    return witness.rows_moved(lambda _, row, step: row < NEW and step >= before), leaks


def test_rows_that_decay_are_advised_a_group_without_it_and_then_hold():
    moved, leaks = embedding_trained(BUILDS["decay"], before=0)
    assert moved
    assert "weight_decay=0" in leaks.account()["remedy"][0]
    moved, _ = embedding_trained(partial(optim.SGD, lr=0.1), before=0)
    assert moved == set()


def test_rows_that_history_moves_are_advised_to_clear_the_state_and_then_hold():
    moved, leaks = embedding_trained(BUILDS["momentum"], before=2)
    assert moved
    remedy = leaks.account()["remedy"][0]
    assert "optimizer.state[parameter]" in remedy
    assert "weight_decay=0" not in remedy
    moved, _ = embedding_trained(BUILDS["momentum"], before=2, clear_state=True)
    assert moved == set()


def test_rows_that_both_move_are_advised_both_and_then_hold():
    moved, leaks = embedding_trained(BUILDS["AdamW"], before=2)
    assert moved
    remedy = leaks.account()["remedy"][0]
    assert "weight_decay=0" in remedy
    assert "optimizer.state[parameter]" in remedy
    without = partial(optim.AdamW, lr=0.1, weight_decay=0.0)
    moved, _ = embedding_trained(without, before=2, clear_state=True)
    assert moved == set()


class DecaysOnceItHasState(optim.Optimizer):
    """Skips the first update of each parameter, then decays: neither source moves it alone."""

    def __init__(self, params, lr=0.1, weight_decay=0.1):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                state["step"] = state.get("step", 0) + 1
                if state["step"] > 1:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(group["lr"] * parameter.grad)


def test_sources_that_move_it_only_together_are_one_cause():
    loop = Loop(DecaysOnceItHasState)
    moved, leaks = loop.run()
    assert len(moved) == 6
    assert set(leaks.table()["cause"].dropna()) == {"history+decay"}


def test_what_moves_despite_none_is_advised_an_optimizer_of_its_own():
    class Shrinks(optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.mul_(0.9)

    layer = nn.Linear(2, 2)
    optimizer = Shrinks(layer.parameters(), lr=0.1)
    with watch(layer, optimizer) as leaks:
        optimizer.step()
    remedy = leaks.account()["remedy"][0]
    assert "an optimizer of its own" in remedy
    assert "set_to_none" not in remedy
    assert "despite None" in leaks.account()["causes"][0]
