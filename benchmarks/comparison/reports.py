"""More loops: those that people reported or write, on which `watch` itself once went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from comparison.loops import MOMENTUM, PLAIN, X, layers
from comparison.models import (
    Layers,
    When,
    always,
    first_layer,
    later,
    never,
    nothing,
    odd,
    requires_grad,
    rows,
    switch,
)
from comparison.training import Tensors, Training, batch_of
from sweep.values.words import ZeroGrad

ADAMW = partial(AdamW, lr=0.1)
NEW_WORD, WORDS = 9, 10
PRUNED = (1, 2)


def zeroed(optimizer: Any, zero: Callable[[nn.Module], None], clear: ZeroGrad) -> Training:
    """`Layers` whose first layer's grads ``zero`` zeroes after each backward pass, later."""

    def after_backward(model: nn.Module, step: int) -> None:
        if later(step):
            zero(model.get_submodule("first"))

    return layers(
        optimizer, later, freeze=switch(never), after_backward=after_backward, clear=clear
    )


def by_hand(module: nn.Module) -> None:
    """Fills each grad with zeros, in place."""
    for parameter in module.parameters():
        if parameter.grad is not None:
            parameter.grad.data.fill_(0)


def by_module(module: nn.Module) -> None:
    """The module's own ``zero_grad``, to zeros."""
    module.zero_grad(set_to_none=False)


def batch_norm_filled() -> Training:
    """BatchNorm is held after the first task by filling its grads with zeros."""
    training = zeroed(MOMENTUM, lambda first: by_hand(first.get_submodule("1")), ZeroGrad.NONE)
    training.model.first = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6))
    training.optimizer = training.make_optimizer(training.model.parameters())

    def still(model: nn.Module, step: int) -> Tensors:
        named = model.named_parameters()
        return {name: p for name, p in named if later(step) and name.startswith("first.1.")}

    training.still = still
    return training


def words_masked(mask: Callable[[nn.Module, int], None]) -> Training:
    """An embedding of which one new row is to train; ``mask`` zeroes the grads of the others."""
    return Training(
        model=nn.Embedding(WORDS, 4),
        make_optimizer=ADAMW,
        batch=lambda step: torch.tensor([step % NEW_WORD, NEW_WORD]),
        still=rows(*range(NEW_WORD)),
        after_backward=mask,
    )


def rows_in_place(model: nn.Module, step: int) -> None:
    """Zeroes the others' rows in the grad that is there."""
    grad = model.get_parameter("weight").grad
    assert grad is not None
    grad[:NEW_WORD] = 0


def rows_by_hook() -> Training:
    """The same by a hook, put on before training."""
    training = words_masked(lambda model, step: None)
    mask = torch.zeros(WORDS, 1)
    mask[NEW_WORD] = 1
    weight = training.model.get_parameter("weight")
    weight.register_hook(lambda grad: grad * mask)  # type: ignore[no-untyped-call]
    return training


def pruned_filters() -> Training:
    """A convolution, two of whose filters are zeroed after step 2, and their grads from then on."""
    mask = torch.ones(4, 1, 1, 1)
    mask[list(PRUNED)] = 0

    def prune(model: nn.Module, step: int) -> None:
        if step == 2:
            with torch.no_grad():
                model.get_parameter("weight").mul_(mask)

    def after_backward(model: nn.Module, step: int) -> None:
        grad = model.get_parameter("weight").grad
        if later(step) and grad is not None:
            grad.mul_(mask)

    def still(model: nn.Module, step: int) -> Tensors:
        return rows(*PRUNED)(model, step) if later(step) else {}

    return Training(
        model=nn.Conv2d(1, 4, 3, bias=False),
        make_optimizer=MOMENTUM,
        batch=batch_of(5, 1, 6, 6),
        still=still,
        after_backward=after_backward,
        after_step=prune,
    )


class DecaysFirst(Adam):
    """Shrinks every parameter, then does what Adam does."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.mul_(0.9)
        return super().step(closure)


class AddsNothing(Adam):
    """Overrides ``step`` and calls it."""

    def step(self, closure: Any = None) -> Any:
        """One step."""
        return super().step(closure)


class Wrapper:
    """No Optimizer: keeps one, and hands everything on, as accelerate's and others do."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.optimizer = MOMENTUM(parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.optimizer, name)

    def step(self, closure: Any = None) -> Any:
        """One step of what it keeps."""
        return self.optimizer.step(closure)


def replaced() -> Training:
    """At step 2 another weight takes the place of the first layer's, in model and optimizer."""
    training = layers(
        partial(AdamW, lr=0.1, weight_decay=0.5),
        later,
        freeze=requires_grad(later),
        clear=ZeroGrad.ZERO,
    )
    weight = nn.Parameter(torch.randn(6, 4))

    def prepare(training: Training, step: int) -> None:
        first = training.model.get_submodule("first")
        if step == 2 and first.weight is not weight:
            old, first.weight = first.weight, weight
            training.optimizer.state.pop(old)
            held = training.optimizer.param_groups[0]["params"]
            held[:] = [weight if each is old else each for each in held]

    training.prepare = prepare
    return training


def becomes_nan() -> Training:
    """The momentum of a frozen layer is NaN from step 3 on."""
    training = layers(MOMENTUM, later, freeze=requires_grad(later), clear=ZeroGrad.ZERO)

    def prepare(training: Training, step: int) -> None:
        if step == 3:
            for parameter in training.model.get_submodule("first").parameters():
                training.optimizer.state[parameter]["momentum_buffer"].fill_(float("nan"))

    training.prepare = prepare
    training.loss = lambda output: output.nan_to_num().square().mean()
    return training


class Quantizer(nn.Module):
    """A codebook that the forward pass itself moves; no optimizer has it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codebook", torch.randn(3, 4))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with its nearest codes in its place, of the same shape."""
        codebook = self.get_buffer("codebook")
        nearest = torch.cdist(x.detach(), codebook).argmin(1)
        with torch.no_grad():
            codebook[nearest] = 0.8 * codebook[nearest] + 0.2 * x.detach()
        return x + (codebook[nearest] - x).detach()


def codebook() -> Training:
    """`Layers` behind a `Quantizer` that must keep still."""
    first = nn.Sequential(Quantizer(), nn.Linear(4, 6))
    training = layers(ADAMW, always, freeze=switch(never))
    training.model.first = first
    training.optimizer = training.make_optimizer(training.model.parameters())
    training.still = lambda model, step: {"first.0.codebook": model.get_buffer("first.0.codebook")}
    return training


def built_before_the_head_was_replaced() -> Training:
    """The optimizer has the old head; the model's own is in none."""
    training = layers(PLAIN, always, freeze=switch(never), still=nothing)
    training.model.second = nn.Linear(6, 2)
    training.must_move = ("second.weight", "second.bias")
    return training


def head_alone() -> Training:
    """The recommended way: the first layer requires no gradient and is in no optimizer."""
    return Training(
        model=Layers(),
        make_optimizer=ADAMW,
        batch=X,
        trained=lambda model: model.get_submodule("second").parameters(),
        freeze=requires_grad(always),
        still=first_layer(always),
    )


class Adapted(nn.Module):
    """A frozen layer with a low-rank change to it that begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 2)
        self.a, self.b = nn.Linear(4, 2, bias=False), nn.Linear(2, 2, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Of shape (examples, 2), for ``x`` of (examples, 4)."""
        first: Tensor = self.first(x)
        change: Tensor = self.b(self.a(x))
        return first + change


def adapter() -> Training:
    """Its first gradient is exactly zero, and clipped; the layer below is frozen."""

    def clip(model: nn.Module, step: int) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)

    return Training(
        model=Adapted(),
        make_optimizer=ADAMW,
        batch=X,
        freeze=requires_grad(always),
        still=first_layer(always),
        after_backward=clip,
    )


def grad_buffers() -> Training:
    """The loop gives each parameter the same buffer for its grad on every step, filled anew."""
    buffers: dict[nn.Parameter, Tensor] = {}

    def assign(model: nn.Module, step: int) -> None:
        for parameter in model.parameters():
            assert parameter.grad is not None
            buffer = buffers.setdefault(parameter, torch.zeros_like(parameter))
            parameter.grad = buffer.copy_(parameter.grad)

    return layers(PLAIN, never, still=nothing, after_backward=assign)


def becomes_bfloat16() -> Training:
    """A model with a frozen layer that changes its type at step 2."""
    training = layers(PLAIN, always, freeze=requires_grad(always))
    training.batch = lambda step: X(step).to(torch.bfloat16 if step >= 2 else torch.float32)

    def prepare(training: Training, step: int) -> None:
        if step == 2:
            training.model.bfloat16()

    training.prepare = prepare
    training.still = first_layer(lambda step: step != 2)
    return training


def in_turns(optimizer: Callable[..., Optimizer], when: When = odd) -> Training:
    """`Layers` frozen by ``requires_grad`` on these steps, grads zeroed."""
    return layers(optimizer, when, freeze=requires_grad(when), clear=ZeroGrad.ZERO)


def gradient_of_another() -> Training:
    """A row that the last step left is written over by hand before the next."""

    def write(model: nn.Module, step: int) -> None:
        weight = model.get_parameter("weight")
        weight.grad = torch.zeros_like(weight)
        weight.grad[step % 3] = 1.0

    def absent(model: nn.Module, step: int) -> Tensors:
        return rows(*(row for row in range(4) if row != step % 3))(model, step)

    return Training(
        model=nn.Embedding(4, 2),
        make_optimizer=partial(SGD, lr=0.1),
        batch=lambda step: torch.tensor([0]),
        still=absent,
        after_backward=write,
        clear=ZeroGrad.NEVER,
    )
