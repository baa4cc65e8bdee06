"""A watch raises nothing out of a step, whatever happens inside it, and changes no bit."""

import warnings

import pytest
import torch
from torch import nn, optim
from witness import bits, told

from sweep import watch


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))


class NoBytes(torch.Tensor):
    """A tensor whose bits cannot be looked at: every view of another type raises."""

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), keywords=None):
        if getattr(function, "__name__", "") in ("view", "clone", "detach", "sum", "equal"):
            raise RuntimeError("cannot be looked at")
        return super().__torch_function__(function, types, arguments, keywords or {})


class Shrinks(optim.SGD):
    """Gives a parameter another shape inside its step."""

    @torch.no_grad()
    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.dim() == 2 and parameter.shape[0] > 2:
                    parameter.grad = None
                    parameter.data = parameter.data[:2].clone()


class Forgets(optim.SGD):
    """Drops a parameter from its groups inside its step."""

    def step(self, closure=None):
        super().step(closure)
        self.param_groups[0]["params"] = self.param_groups[0]["params"][:1]


class Replaces(optim.SGD):
    """Puts grads of its own in the place of those it found, as HeavyBall does."""

    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None


@pytest.mark.parametrize("granularity", ["parameter", "row"])
@pytest.mark.parametrize("kind", [Shrinks, Forgets, Replaces])
def test_what_a_step_does_to_its_parameters_raises_nothing_here(kind, granularity):
    layer = nn.Linear(3, 4)
    optimizer = kind(layer.parameters(), lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with watch(layer, optimizer, granularity=granularity) as leaks:
            for _ in range(3):
                for parameter in layer.parameters():
                    parameter.grad = torch.zeros_like(parameter)
                optimizer.step()
    assert leaks.findings.steps == [3]
    assert leaks.summary()


def test_a_parameter_on_meta_is_listed_as_not_judged_and_the_others_are_judged():
    model = net()
    model[0].to("meta")
    optimizer = optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with watch(model, optimizer) as leaks:
            for _ in range(2):
                for parameter in model[2].parameters():
                    parameter.grad = torch.zeros_like(parameter)
                optimizer.step()
    assert told(leaks) == {(f"2.{part}", step) for part in ("weight", "bias") for step in (0, 1)}
    assert "not judged" in leaks.summary()
    assert "0.weight" in leaks.summary() or "0.*" in leaks.summary() or "0: " in leaks.summary()


def test_a_parameter_that_cannot_be_looked_at_is_warned_of_once_and_listed():
    blind = torch.Tensor._make_subclass(NoBytes, torch.ones(2), True)
    seen = nn.Parameter(torch.ones(2))

    class Doubles(optim.Optimizer):
        def step(self, closure=None):
            seen.data.mul_(2)

    optimizer = Doubles([seen], {})
    optimizer.param_groups[0]["params"] = [blind, seen]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with watch({"blind": blind, "seen": seen}, optimizer) as leaks:
            for _ in range(3):
                optimizer.step()
    assert told(leaks) == {("seen", step) for step in range(3)}
    mine = [each for each in caught if "blind" in str(each.message)]
    assert len(mine) == 1
    assert "not judged" in leaks.summary()


def test_the_step_s_own_exception_comes_out_and_the_next_step_is_judged():
    class Fails(optim.SGD):
        fails = False

        def step(self, closure=None):
            if self.fails:
                raise RuntimeError("no luck")
            return super().step(closure)

    layer = nn.Linear(3, 2)
    optimizer = Fails(layer.parameters(), lr=0.1, weight_decay=0.1)
    with watch(layer, optimizer) as leaks:
        for step in range(3):
            for parameter in layer.parameters():
                parameter.grad = torch.zeros_like(parameter)
            optimizer.fails = step == 1
            if optimizer.fails:
                with pytest.raises(RuntimeError, match="no luck"):
                    optimizer.step()
            else:
                optimizer.step()
    assert {name for name, _ in told(leaks)} == {"weight", "bias"}
    assert len(leaks.leaks) == 4


@pytest.mark.parametrize("granularity", ["parameter", "row"])
@pytest.mark.parametrize(
    "build",
    [
        lambda p: optim.AdamW(p, lr=0.1, fused=True),
        lambda p: optim.AdamW(p, lr=0.1, foreach=True),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
        lambda p: optim.Adam(p, lr=torch.tensor(0.1)),
        lambda p: optim.LBFGS(p, lr=0.1, max_iter=2),
    ],
    ids=["AdamW fused", "AdamW foreach", "SGD fused", "tensor lr", "LBFGS"],
)
def test_training_has_the_same_bits_with_zeroed_masked_and_stale_grads(build, granularity):
    def run(watched):
        model = net()
        optimizer = build(model.parameters())
        torch.manual_seed(1)

        def loop():
            for step in range(6):
                x = torch.randn(8, 3)

                def closure(step=step, x=x):
                    if step % 3:
                        optimizer.zero_grad(set_to_none=step % 3 == 1)
                    loss = model(x).square().mean()
                    loss.backward()
                    if step % 2:
                        model[0].zero_grad(set_to_none=False)
                    model[2].weight.grad[0] = 0
                    return loss

                optimizer.step(closure)

        if watched:
            with watch(model, optimizer, granularity=granularity):
                loop()
        else:
            loop()
        return [bits(p) for p in model.parameters()]

    for one, other in zip(run(False), run(True), strict=True):
        assert torch.equal(one, other)


def test_random_numbers_of_the_training_are_the_same_under_watch():
    def run(watched):
        model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Linear(3, 1))
        torch.manual_seed(2)
        optimizer = optim.AdamW(model.parameters(), lr=0.1)
        drawn = []

        def loop():
            for step in range(4):
                model[0].requires_grad_(step % 2 == 0)
                model(torch.randn(4, 3)).square().mean().backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
                drawn.append(torch.rand(1).item())

        if watched:
            with watch(model, optimizer):
                loop()
        else:
            loop()
        return drawn

    assert run(False) == run(True)


def test_a_watch_leaves_the_optimizer_its_step_and_every_attribute():
    model = net()
    optimizer = optim.AdamW(model.parameters())
    before = {name: value for name, value in vars(optimizer).items() if "hook" not in name}
    class_step = type(optimizer).step
    with watch(model, optimizer):
        model(torch.randn(2, 3)).sum().backward()
        optimizer.step()
    assert type(optimizer).step is class_step
    assert set(vars(optimizer)) - {"_opt_called"} <= set(before) | {
        name for name in vars(optimizer) if "hook" in name
    }
    assert all(not p._backward_hooks for p in model.parameters())
    assert all(not p._post_accumulate_grad_hooks for p in model.parameters())
