"""A second opinion on what moves a layer: torch, an optimizer's class, and nothing of the package.

A plain loop is trained up to its first leaking step as often as there are subsets of sources to
switch off, each time from the start. Nothing is copied on the way, nothing is kept.
"""

import copy
import importlib
import random
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SOURCES = ("history", "decay", "gradient")


@dataclass(frozen=True)
class Case:
    """An optimizer by its import path and arguments, and how the loop must call it."""

    target: str
    arguments: dict
    zero_grad: str  # none, zero or never
    decay_argument: str | None = None  # the constructor's argument that is weight decay
    decay_key: str | None = None  # where a parameter group has it in force
    takes_model: bool = False
    group: dict = field(default_factory=dict)  # what a group must say beside its parameters
    closure: bool = False
    backward_first: bool = False
    create_graph: bool = False
    train_mode: bool = False
    steps: int = 20

    def without_decay(self):
        """The same case, built without weight decay."""
        return Case(**vars(self) | {"arguments": self.arguments | {self.decay_argument: 0.0}})


class Net(nn.Module):
    """The small workload's."""

    def __init__(self):
        super().__init__()
        self.layer1 = nn.Linear(16, 8, bias=False)
        self.layer2 = nn.Linear(8, 3, bias=False)

    def forward(self, x, detached):
        """Logits; with the first layer's output ``detached`` or not."""
        hidden = self.layer1(x)
        return self.layer2(torch.relu(hidden.detach() if detached else hidden))


class Loop:
    """One training; odd steps are frozen."""

    def __init__(self, case, net=None):
        self.case = case
        seed()
        self.x, self.y = torch.randn(256, 16), torch.randint(3, (256,))
        self.net = Net() if net is None else net
        seed()
        self.optimizer = built(case, self.net)
        self.change = lambda grad: grad

    def until(self, step):
        """Trains up to the moment before ``step()`` of that step acts."""
        for earlier in range(step):
            self.backward(earlier)
            self.act()
            self.clear()
        self.backward(step)
        return self

    def backward(self, step):
        self.step = step
        if not self.case.closure:
            self.brought()
        elif self.case.backward_first:
            self.closure()

    def act(self, change=None):
        """``step()``, the frozen layer's grad changed just before it; its weights before, after."""
        if change is not None:
            self.change = change
            if not self.case.closure or self.case.backward_first:
                self.change_grad()
        before = self.weight.detach().clone()
        self.optimizer.step(*[self.closure] * self.case.closure)
        return before, self.weight.detach().clone()

    def clear(self):
        if not self.case.closure:
            self.zero()

    @property
    def weight(self):
        return self.net.layer1.weight

    def zero(self):
        if self.case.zero_grad != "never":
            self.optimizer.zero_grad(set_to_none=self.case.zero_grad == "none")

    @torch.enable_grad()
    def closure(self):
        self.zero()
        return self.brought()

    def brought(self):
        loss = functional.cross_entropy(self.net(self.x, self.step % 2 == 1), self.y)
        loss.backward(create_graph=self.case.create_graph)
        self.change_grad()
        return loss

    def change_grad(self):
        if self.step % 2:
            self.weight.grad = self.change(self.weight.grad)
            self.met = self.weight.grad is not None and bool(self.weight.grad.any())


def seed():
    """Every generator, as at the start."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  # the global one is what others draw from
    random.seed(0)


def built(case, net):
    """The optimizer over ``net``."""
    module, _, name = case.target.partition(":")
    first = list(net.parameters())
    if case.takes_model:
        first = net
    elif case.group:
        first = [{"params": first, **case.group}]
    optimizer = getattr(importlib.import_module(module), name)(first, **case.arguments)
    if case.train_mode:
        optimizer.train()
    return optimizer


def verdict(case):
    """The first frozen step that moves the layer, or None."""
    loop = Loop(case)
    for step in range(case.steps):
        loop.backward(step)
        before, after = loop.act()
        if step % 2 and differ(before, after):
            return step
        loop.clear()
    return None


def causes(case):
    """The smallest sets of sources that move the layer on its first leaking step, as one word.

    ``holds`` where none leaks; ``no switch`` where decay cannot be switched off with the state
    kept: a training from which it is switched off at the start must be one built without it.
    """
    step = verdict(case)
    if step is None:
        return "holds"
    lived = Loop(case).until(step)
    lived.act()
    there = ["history"]
    if case.decay_argument and case.arguments.get(case.decay_argument):
        there.append("decay")
    if lived.met:
        there.append("gradient")
    after = {
        frozenset(off): replayed(case, step, off)
        for size in range(len(there) + 1)
        for off in combinations(there, size)
    }
    nothing = after[frozenset(there)]
    moving = [] if not differ(*nothing) else ["intrinsic"]
    smallest = []
    for size in range(1, len(there) + 1):
        for on in map(frozenset, combinations(there, size)):
            if any(found < on for found in smallest):
                continue
            if differ(after[frozenset(there) - on][1], nothing[1]):
                smallest.append(on)
    if "decay" in there and not decay_switches(case, step):
        return "no switch"
    named = ["+".join(s for s in SOURCES if s in found) for found in smallest]
    return ", ".join(moving + sorted(named, key=lambda name: (name.count("+"), name)))


def replayed(case, step, off):
    """The layer before and after ``step`` without the sources ``off``."""
    loop = Loop(case).until(step)
    if "history" in off:
        loop = anew(loop, case.without_decay() if "decay" in off else case)
    elif "decay" in off:
        switch_off(loop)
    return loop.act(zeros if "gradient" in off else None)


def anew(loop, case):
    """The loop with an optimizer that has lived through nothing, over the same bits."""
    drawn = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    net = Net()
    net.load_state_dict(copy.deepcopy(loop.net.state_dict()))
    for new, old in zip(net.parameters(), loop.net.parameters(), strict=True):
        new.grad = None if old.grad is None else old.grad.detach().clone()
    fresh = Loop(case, net)
    fresh.step = loop.step
    torch.set_rng_state(drawn[0])
    np.random.set_state(drawn[1])  # noqa: NPY002
    random.setstate(drawn[2])
    return fresh


def switch_off(loop):
    for group in loop.optimizer.param_groups:
        if loop.case.decay_key in group:
            group[loop.case.decay_key] = 0.0


def decay_switches(case, step):
    """Whether a training switched off at its start is bit for bit one built without decay."""
    switched = Loop(case)
    switch_off(switched)
    seed()
    ended = [*switched.until(step).act(), *switched.net.parameters()]
    without = Loop(case.without_decay())
    seed()
    expected = [*without.until(step).act(), *without.net.parameters()]
    return not any(differ(a, b) for a, b in zip(ended, expected, strict=True))


def zeros(grad):
    return None if grad is None else torch.zeros_like(grad)


def differ(one, other):
    """Whether two float32 tensors differ in bits, one NaN being another."""
    both = one.isnan() & other.isnan()
    return bool(((one.view(torch.int32) != other.view(torch.int32)) & ~both).any())
