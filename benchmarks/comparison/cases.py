"""The training loops of the comparison, and what each tool should find in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, AdamW

from comparison.models import (
    Branches,
    Gan,
    Layers,
    Masked,
    always,
    elements,
    first_layer,
    idle_player,
    later,
    never,
    nothing,
    odd,
    requires_grad,
    rows,
    switch,
    take_turns,
    zero_by_hook,
)
from comparison.training import Tensors, Training, batch_of
from sweep.words import ZeroGrad

X = batch_of(5, 4)
MOMENTUM = partial(SGD, lr=0.1, momentum=0.9)
DECAY = partial(SGD, lr=0.1, weight_decay=0.1)
PLAIN = partial(SGD, lr=0.1)
ROW_MASK = [[1.0] * 4, [0.0] * 4, [1.0] * 4]
FIRST = ("first.weight", "first.bias")
ELEMENT_MASK = [[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]]


@dataclass(frozen=True)
class Case:
    """One loop.

    Attributes:
        name: what the loop does, for readers.
        build: makes it, the same one each time.
        causes: what makes it go wrong, in one word each; empty where nothing does.
        options: what `watch` is told beyond the model and the optimizer.
    """

    name: str
    build: Callable[[], Training]
    causes: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)


def case(name: str, build: Callable[[], Training], *causes: str, **options: Any) -> Case:
    """A case whose model has the same initial weights on each build."""

    def seeded() -> Training:
        torch.manual_seed(0)
        return build()

    return Case(name, seeded, frozenset(causes), options)


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


LEAKS = (
    case(
        "momentum of before the freeze: SGD, `requires_grad=False` at step 3, grads zeroed",
        lambda: layers(MOMENTUM, later, freeze=requires_grad(later), clear=ZeroGrad.ZERO),
        "history",
    ),
    case(
        "the same with Adam, detached from step 3 on",
        lambda: layers(partial(Adam, lr=0.1), later, clear=ZeroGrad.ZERO),
        "history",
    ),
    case(
        "detached on odd steps, trained on even ones: AdamW, grads zeroed",
        lambda: layers(partial(AdamW, lr=0.1), odd, clear=ZeroGrad.ZERO),
        "history",
        "decay",
    ),
    case(
        "GAN whose players share one Adam and take turns, grads zeroed",
        gan,
        "history",
    ),
    case(
        "weight decay on gradients that a hook zeroes, from the start (pytorch 38581)",
        lambda: hooked(DECAY),
        "decay",
        zeros_count=False,
    ),
    case(
        "a branch out of use gets gradients of zeros, as under DDP (pytorch 28294)",
        unused_branch,
        "history",
        "decay",
        zeros_count=False,
    ),
    case(
        "stale grads: plain SGD, detached from step 3 on, `zero_grad` never called",
        lambda: layers(PLAIN, later, clear=ZeroGrad.NEVER),
        "gradient",
    ),
    case(
        "LBFGS, detached from step 3 on, grads None",
        lambda: layers(partial(LBFGS, lr=0.1, max_iter=2), later, closure=True),
        "despite None",
    ),
    case(
        "steps with a closure: SGD with momentum, detached from step 3 on, grads zeroed",
        lambda: layers(MOMENTUM, later, closure=True, clear=ZeroGrad.ZERO),
        "history",
    ),
    case(
        "embedding rows that are in no batch, Adam (pytorch 18404)",
        embedding,
        "history",
        granularity="row",
    ),
    case(
        "pruned rows under weight decay",
        lambda: masked(ROW_MASK, DECAY, rows(1)),
        "decay",
        granularity="row",
    ),
    case(
        "pruned single weights under weight decay",
        lambda: masked(ELEMENT_MASK, DECAY, elements((0, 1), (1, 0))),
        "decay",
        granularity="row",
    ),
    case(
        "a layer meant to be frozen that nobody froze",
        lambda: layers(PLAIN, always, freeze=switch(never)),
        "gradient",
        frozen=("first",),
    ),
)
"""Loops whose ``step()`` moves what must keep still."""

OTHER_FAULTS = (
    case(
        "BatchNorm's running statistics in a frozen block",
        batch_norm,
        "buffer",
    ),
    case(
        "the loop's own code shrinks the frozen layer after each step",
        lambda: layers(PLAIN, always, after_step=shrink_weights),
        "own code",
    ),
    case(
        "a layer that should train, detached by mistake",
        lambda: layers(PLAIN, always, still=nothing, must_move=FIRST),
        "no gradient",
    ),
    case(
        "a layer that should train, left out of the optimizer",
        left_out,
        "no optimizer",
    ),
)
"""Loops that go wrong in other ways, such as the rivals look for."""

CONTROLS = (
    case(
        "frozen from the start by `requires_grad=False`: AdamW, grads None",
        lambda: layers(partial(AdamW, lr=0.1), always, freeze=requires_grad(always)),
    ),
    case(
        "detached from step 3 on: AdamW, grads None",
        lambda: layers(partial(AdamW, lr=0.1), later),
    ),
    case(
        "detached on odd steps, trained on even ones: AdamW, grads None",
        lambda: layers(partial(AdamW, lr=0.1), odd),
    ),
    case(
        "gradients that a hook zeroes, from the start: plain SGD",
        lambda: hooked(PLAIN),
        zeros_count=False,
    ),
    case(
        "pruned rows, plain SGD",
        lambda: masked(ROW_MASK, PLAIN, rows(1)),
        granularity="row",
    ),
    case(
        "frozen from the start, with a NaN in it: AdamW, grads None",
        with_nan,
    ),
    case(
        "nothing is frozen; later batches are blank, and the gradient rightly all zeros: Adam",
        lambda: layers(partial(Adam, lr=0.1), never, still=nothing, batch=blanks),
        zeros_count=False,
    ),
    case(
        "nothing is frozen; on odd steps the gradient is another process's, written in place",
        lambda: layers(
            PLAIN,
            odd,
            still=nothing,
            after_backward=write_gradient,
            clear=ZeroGrad.ZERO,
        ),
    ),
)
"""Loops in which all is well."""
