"""Loops of every kind against the plain truth: copies of the weights around each step.

A case trains `net` and says which movements are leaks. Each is trained twice, with and without a
watch: the bits are the same, and what is told is what moved.
"""

import contextlib
import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.distributed import HashStore
from torch.nn.utils import prune
from torch.testing._internal.two_tensor import TwoTensor

from sweep import watch

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
CASES = {}


def loop(*, leaks, **options):
    """Registers a loop; ``leaks`` is whether moving at that step, under that name, is a leak."""

    def register(train):
        CASES[train.__name__] = (train, leaks, options)
        return train

    return register


def never(name, step):
    return False


def first_on_odd_steps(name, step):
    return name.startswith("0.") and step % 2 == 1


def first_from_step_1(name, step):
    return name.startswith("0.") and step >= 1


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2))


class Loop:
    """One training: what moved at each step, and what the watch of it said."""

    def __init__(self, *, watched, **options):
        self.watched, self.options = watched, options
        self.moved, self.leaks, self.model = [], None, None

    def watch(self, model, *optimizers):
        self.model = model
        if not self.watched:
            return contextlib.nullcontext()
        self.leaks = watch(model, *optimizers, **self.options)
        return self.leaks

    def step(self, step, *arguments):
        before = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        try:
            step(*arguments)
        finally:
            now = dict(self.model.named_parameters())
            self.moved.append({n for n, p in before.items() if not torch.equal(p, now[n])})

    def alternate(self, model, optimizer, steps=4, *, to_none=False):
        """Freezes the first layer on odd steps."""
        with self.watch(model, optimizer):
            for step in range(steps):
                model[0].requires_grad_(step % 2 == 0)
                model(X).square().sum().backward()
                self.step(optimizer.step)
                optimizer.zero_grad(set_to_none=to_none)


@loop(leaks=first_from_step_1)
def stale_grads_cloned(run):
    stale(run, lambda parameter: parameter.grad.clone())


@loop(leaks=first_from_step_1)
def stale_grads_scaled_into_new_tensors(run):
    stale(run, lambda parameter: parameter.grad * 0.5)


def stale(run, again):
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with run.watch(model, optimizer):
        for step in range(4):
            hidden = model[0](X)
            model[2]((hidden.detach() if step else hidden).tanh()).sum().backward()
            for parameter in model.parameters():
                parameter.grad = again(parameter)
            run.step(optimizer.step)


@loop(leaks=never)
def gradients_written_by_hand_after_zeros(run):
    """A multiple of zeros is zeros: what is written over them is no stale grad."""
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with run.watch(model, optimizer):
        for step in range(4):
            gradients = torch.autograd.grad(model(X).square().sum(), list(model.parameters()))
            if not step:
                model(X).sum().backward()
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter.grad.copy_(gradient if step != 1 else torch.zeros_like(gradient))
            if step != 1:
                run.step(optimizer.step)


@loop(leaks=lambda name, step: name == "0.weight" and step >= 1)
def a_hook_from_before_the_watch_that_zeroes_what_came(run):
    zeroing, model = [False], net()
    optimizer = optim.Adam(model.parameters(), lr=0.1)

    def zero(parameter):
        parameter.grad.mul_(0 if zeroing[0] else 1)

    model[0].weight.register_post_accumulate_grad_hook(zero)
    with run.watch(model, optimizer):
        for _ in range(4):
            model(X).square().sum().backward()
            run.step(optimizer.step)
            optimizer.zero_grad()
            zeroing[0] = True


@loop(leaks=never)
def a_step_that_raises_before_it_does_anything(run):
    class Raises(optim.Adam):
        def step(self, closure=None):
            if len(run.moved) == 1:
                raise ValueError("out of memory")
            return super().step(closure)

    model = net()
    optimizer = Raises(model.parameters(), lr=0.1)
    with run.watch(model, optimizer):
        for _ in range(4):
            model(X).square().sum().backward()
            with contextlib.suppress(ValueError):
                run.step(optimizer.step)
            optimizer.zero_grad()


@loop(leaks=never)
def a_layer_pruned_in_mid_training(run):
    changed(run, lambda model: prune.l1_unstructured(model[0], "weight", amount=4))


@loop(leaks=never)
def two_layers_that_change_places(run):
    def swap(model):
        model[0], model[2] = model[2], model[0]

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    changed(run, swap, model)


def changed(run, change, model=None):
    model = net() if model is None else model
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with run.watch(model, optimizer):
        for step in range(4):
            if step == 2:
                change(model)
            model(X).square().sum().backward()
            run.step(optimizer.step)
            optimizer.zero_grad()
    if run.leaks is not None:
        account = run.leaks.account()
        assert set(account.place) == {"optimizer"}
        assert set(account.steps_fresh) == {4}
        assert "no longer" not in run.leaks.summary()


class SAM(optim.Optimizer):
    """Foret et al., arXiv:2010.01412, as davda54/sam has it."""

    def __init__(self, params, base, rho=0.05, **settings):
        super().__init__(params, {"rho": rho, **settings})
        self.base_optimizer = base(self.param_groups, **settings)
        self.param_groups = self.base_optimizer.param_groups
        self.zeroes = False

    @torch.no_grad()
    def first_step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.state[parameter]["old"] = parameter.data.clone()
                    parameter.add_(parameter.grad, alpha=group["rho"])

    @torch.no_grad()
    def second_step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.data = self.state[parameter]["old"]
        self.base_optimizer.step()

    @torch.no_grad()
    def step(self, closure):
        self.first_step()
        self.zero_grad(set_to_none=False)
        torch.enable_grad()(closure)()
        self.second_step()


@loop(leaks=first_on_odd_steps)
def sam_whose_step_takes_a_closure(run):
    model = net()
    optimizer = SAM(model.parameters(), optim.SGD, lr=0.1, momentum=0.9)

    def closure():
        loss = model(X).square().sum()
        loss.backward()
        return loss

    with run.watch(model, optimizer):
        for step in range(4):
            model[0].requires_grad_(step % 2 == 0)
            closure()
            run.step(optimizer.step, closure)
            optimizer.zero_grad(set_to_none=False)
    if run.leaks is not None:
        assert set(run.leaks.table().cause.dropna()) == {"history"}


@loop(leaks=never)
def sam_that_takes_everything_back(run):
    """With a learning rate of 0 the weights are perturbed, and put back bit for bit."""
    model = net()
    optimizer = SAM(model.parameters(), optim.SGD, lr=0.0)

    def closure():
        model(X).square().sum().backward()

    with run.watch(model, optimizer):
        for _ in range(3):
            closure()
            run.step(optimizer.step, closure)
            optimizer.zero_grad()
    if run.leaks is not None:
        assert not run.leaks.account().moved_fresh.any()


@loop(leaks=first_on_odd_steps)
def a_step_that_calls_what_was_patched_onto_the_optimizer(run):
    class Clears(optim.Adam):
        def step(self, closure=None):
            super().step(closure)
            self.zero_grad()

    model = net()
    optimizer = Clears(model.parameters(), lr=0.1)

    def zero_all(set_to_none=True):
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()

    optimizer.zero_grad = zero_all
    run.alternate(model, optimizer)


@loop(leaks=first_on_odd_steps)
def a_step_that_calls_a_function_of_the_users(run):
    class Calls(optim.Adam):
        def __init__(self, params, before, **settings):
            super().__init__(params, **settings)
            self.before = before

        def step(self, closure=None):
            self.before()
            super().step(closure)

    model = net()

    def shrink():
        for parameter in model.parameters():
            parameter.data.mul_(0.99)

    run.alternate(model, Calls(model.parameters(), shrink, lr=0.1))
    if run.leaks is not None:
        assert "would act on what its before refers to" in run.leaks.summary()


@loop(leaks=first_on_odd_steps)
def a_step_that_counts_in_its_class(run):
    class Counts(optim.Adam):
        calls = 0
        seen = []  # noqa: RUF012  # shared, as is the point

        def step(self, closure=None):
            Counts.calls += 1
            self.seen.append(Counts.calls)
            if Counts.calls % 3 == 0 or len(self.seen) != Counts.calls:
                for parameter in self.param_groups[0]["params"]:
                    parameter.data.mul_(0.5)
            super().step(closure)

    model = net()
    run.alternate(model, Counts(model.parameters(), lr=0.1), 6)


@loop(leaks=first_on_odd_steps)
def a_step_that_draws_from_generators_of_the_users(run):
    torchs = torch.Generator().manual_seed(3)
    numpys, pythons = np.random.default_rng(3), random.Random(3)

    class Draws(optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            super().step(closure)
            for parameter in self.param_groups[0]["params"]:
                if parameter.grad is not None:
                    parameter.add_(torch.randn(parameter.shape, generator=torchs))
                    parameter.mul_(numpys.random()).mul_(pythons.random())

    model = net()
    run.alternate(model, Draws(model.parameters(), lr=0.1))


class OfTwo(TwoTensor):
    """A tensor that keeps its values in others and cannot be cloned, as 8-bit states cannot."""

    @classmethod
    def __torch_dispatch__(cls, function, types, args, kwargs):
        if function is torch.ops.aten.clone.default:
            raise NotImplementedError("clone")
        return super().__torch_dispatch__(function, types, args, kwargs)


class KeepsTwo(optim.Optimizer):
    """Momentum, kept in such a tensor."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    zeros = torch.zeros_like(parameter)
                    kept = self.state[parameter].setdefault("kept", OfTwo(zeros, zeros.clone()))
                    kept.a.mul_(0.9).add_(parameter.grad)
                    parameter.add_(kept.a, alpha=-group["lr"])


@loop(leaks=first_on_odd_steps)
def state_in_tensors_that_cannot_be_cloned(run):
    model = net()
    run.alternate(model, KeepsTwo(model.parameters()))
    if run.leaks is not None:
        assert set(run.leaks.table().cause.dropna()) == {"history"}


@loop(leaks=first_on_odd_steps)
def an_optimizer_sharded_over_processes(run):
    """It asks the others in its step, which a rehearsal must not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its import says is torch's affair
        from torch.distributed.optim import ZeroRedundancyOptimizer

    begins = not torch.distributed.is_initialized()  # libraries leave one behind
    if begins:
        torch.distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        model = net()
        optimizer = ZeroRedundancyOptimizer(model.parameters(), optim.AdamW, lr=0.1)
        run.alternate(model, optimizer)
    finally:
        if begins:
            torch.distributed.destroy_process_group()
    if run.leaks is not None:
        assert set(run.leaks.table().cause.dropna()) == {"decay, history"}


@pytest.mark.parametrize("name", CASES)
def test_what_is_told_is_what_moved_and_the_training_has_the_same_bits(name):
    train, is_leak, options = CASES[name]
    bare, run = Loop(watched=False, **options), Loop(watched=True, **options)
    train(bare)
    train(run)
    true = {(n, step) for step, moved in enumerate(run.moved) for n in moved if is_leak(n, step)}
    assert {(leak.parameter, leak.step) for leak in run.leaks.leaks} == true
    for one, other in zip(bare.model.parameters(), run.model.parameters(), strict=True):
        assert torch.equal(one, other)
