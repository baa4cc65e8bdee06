"""The training loops of the comparison: models, optimizers, and what each loop does to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from comparison.models import (
    Branches,
    Gan,
    Layers,
    Masked,
    always,
    first_layer,
    idle_player,
    later,
    odd,
    requires_grad,
    rows,
    switch,
    take_turns,
    zero_by_hook,
)
from comparison.training import Tensors, Training, batch_of
from sweep.values.words import ZeroGrad

X = batch_of(5, 4)
MOMENTUM = partial(SGD, lr=0.1, momentum=0.9)
DECAY = partial(SGD, lr=0.1, weight_decay=0.1)
PLAIN = partial(SGD, lr=0.1)
ROW_MASK = [[1.0] * 4, [0.0] * 4, [1.0] * 4]
FIRST = ("first.weight", "first.bias")
ELEMENT_MASK = [[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]]


def layers(optimizer: Any, when: Callable[[int], bool], **loop: Any) -> Training:
    """`Layers` with the first one detached on these steps, unless ``loop`` says otherwise."""
    told = {"batch": X, "freeze": switch(when), "still": first_layer(when)} | loop
    return Training(model=Layers(), make_optimizer=optimizer, **told)


def hooked(optimizer: Any) -> Training:
    """`Layers` whose first one has its gradients zeroed by a hook."""
    return Training(
        model=zero_by_hook(Layers()),
        make_optimizer=optimizer,
        batch=X,
        still=first_layer(always),
    )


def masked(mask: list[list[float]], optimizer: Any, still: Any) -> Training:
    """`Masked`, whose pruned weights must keep still."""
    return Training(model=Masked(mask), make_optimizer=optimizer, batch=X, still=still)


def unused_branch() -> Training:
    """`Branches`, the first of which is out of use later."""
    return Training(
        model=Branches(),
        make_optimizer=partial(MOMENTUM, weight_decay=0.1),
        batch=X,
        freeze=switch(later),
        still=first_layer(later),
    )


def embedding() -> Training:
    """Ten words, of which three are in the first batch only."""
    words = [[1, 2, 3], [4, 5]]

    def absent(model: nn.Module, step: int) -> Tensors:
        present = words[min(step, 1)]
        return rows(*(row for row in range(10) if row not in present))(model, step)

    return Training(
        model=nn.Embedding(10, 4),
        make_optimizer=partial(Adam, lr=0.1),
        batch=lambda step: torch.tensor(words[min(step, 1)]),
        still=absent,
    )


def gan() -> Training:
    """`Gan`, whose loop clears grads to zeros."""
    return Training(
        model=Gan(),
        make_optimizer=partial(Adam, lr=0.01),
        batch=X,
        loss=Tensor.mean,
        freeze=take_turns,
        still=idle_player,
        clear=ZeroGrad.ZERO,
    )


def batch_norm() -> Training:
    """A frozen block with a BatchNorm in it, in training mode."""
    return Training(
        model=Layers(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6))),
        make_optimizer=partial(AdamW, lr=0.1),
        batch=X,
        freeze=requires_grad(always),
        still=first_layer(always),
    )


def left_out() -> Training:
    """`Layers` whose optimizer was given the second one only."""
    return Training(
        model=Layers(),
        make_optimizer=PLAIN,
        batch=X,
        trained=lambda model: model.get_submodule("second").parameters(),
        must_move=FIRST,
    )


def blanks(step: int) -> Tensor:
    """Batches whose inputs are all zeros from step 3 on; so is the first weight's gradient."""
    return X(step) * (0.0 if later(step) else 1.0)


def with_nan() -> Training:
    """`Layers` whose first one is frozen from the start, with a NaN where no loss sees it."""
    training = layers(partial(AdamW, lr=0.1), always, freeze=requires_grad(always))
    with torch.no_grad():
        training.model.get_parameter("first.weight")[0] = torch.nan
        training.model.get_parameter("second.weight")[:, 0] = 0.0
    training.loss = lambda output: output.nan_to_num().square().mean()
    return training


def shrink_weights(model: nn.Module, step: int) -> None:
    """What a loop's own code does to every layer, the frozen one, too."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.99)


def write_gradient(model: nn.Module, step: int) -> None:
    """On odd steps the gradient of another process, written into the grad that is there."""
    if odd(step):
        for parameter in model.get_submodule("first").parameters():
            assert parameter.grad is not None
            parameter.grad.fill_(0.1)
