"""The loops of the comparison with what each tool should find in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.optim import LBFGS, Adam, AdamW

from comparison.loops import (
    DECAY,
    ELEMENT_MASK,
    FIRST,
    MOMENTUM,
    PLAIN,
    ROW_MASK,
    batch_norm,
    blanks,
    embedding,
    gan,
    hooked,
    layers,
    left_out,
    masked,
    shrink_weights,
    unused_branch,
    with_nan,
    write_gradient,
)
from comparison.models import (
    always,
    elements,
    later,
    never,
    nothing,
    odd,
    requires_grad,
    rows,
    switch,
)
from comparison.reports import (
    ADAMW,
    NEW_WORD,
    AddsNothing,
    DecaysFirst,
    Wrapper,
    adapter,
    batch_norm_filled,
    becomes_bfloat16,
    becomes_nan,
    built_before_the_head_was_replaced,
    by_hand,
    by_module,
    codebook,
    grad_buffers,
    gradient_of_another,
    head_alone,
    in_turns,
    pruned_filters,
    replaced,
    rows_by_hook,
    rows_in_place,
    words_masked,
    zeroed,
)
from comparison.training import Training
from sweep.values.words import ZeroGrad


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
        "history",
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
        frozen={"weight": torch.tensor(ELEMENT_MASK) == 0},
    ),
    case(
        "a layer meant to be frozen that nobody froze",
        lambda: layers(PLAIN, always, freeze=switch(never)),
        "gradient",
        frozen=("first",),
    ),
    case(
        "grads filled with zeros by hand between backward and step: AdamW",
        lambda: zeroed(ADAMW, by_hand, ZeroGrad.NONE),
        "history",
        "decay",
    ),
    case(
        "the same by `module.zero_grad(set_to_none=False)`: SGD with momentum",
        lambda: zeroed(MOMENTUM, by_module, ZeroGrad.ZERO),
        "history",
    ),
    case(
        "BatchNorm held by filling its grads with zeros: SGD with momentum (GPM 8)",
        batch_norm_filled,
        "history",
    ),
    case(
        "a new word's row trains, the others' grads are zeroed: AdamW (diffusers 1009)",
        lambda: words_masked(rows_in_place),
        "decay",
        frozen={"weight": range(NEW_WORD)},
    ),
    case(
        "the same, zeroed by a hook",
        rows_by_hook,
        "decay",
        granularity="row",
    ),
    case(
        "pruned filters revive: SGD with momentum, grads masked (FPGM 47)",
        pruned_filters,
        "history",
        granularity="row",
    ),
    case(
        "an optimizer that shrinks what it holds and calls `super().step()`, grads None",
        lambda: layers(partial(DecaysFirst, lr=0.1), always, freeze=requires_grad(always)),
        "intrinsic",
        "despite None",
    ),
    case(
        "one that calls `super().step()` and adds nothing: in turns, grads zeroed",
        lambda: in_turns(partial(AddsNothing, lr=0.1)),
        "history",
    ),
    case(
        "a wrapper that is no Optimizer, of SGD with momentum: in turns, grads zeroed",
        lambda: in_turns(Wrapper),
        "history",
    ),
    case(
        "a weight that takes another's place under its name, frozen later: AdamW, grads zeroed",
        replaced,
        "history",
        "decay",
    ),
    case(
        "a frozen layer becomes NaN by its momentum, grads zeroed",
        becomes_nan,
        "history",
    ),
)
"""Loops whose ``step()`` moves what must keep still."""

OTHER_FAULTS = (
    case(
        "BatchNorm's running statistics in a frozen block",
        batch_norm,
        "buffer",
        frozen=("first",),
    ),
    case(
        "a codebook that the forward pass moves (vector-quantize-pytorch 68)",
        codebook,
        "buffer",
        frozen=("first.0",),
    ),
    case(
        "the loop's own code shrinks the frozen layer after each step",
        lambda: layers(PLAIN, always, after_step=shrink_weights),
        "own code",
        frozen=("first",),
    ),
    case(
        "a layer that should train, detached by mistake",
        lambda: layers(PLAIN, always, still=nothing, must_move=FIRST),
        "no gradient",
        trainable=FIRST,
    ),
    case(
        "a layer that should train, left out of the optimizer",
        left_out,
        "no optimizer",
        trainable=FIRST,
    ),
    case(
        "an optimizer built before the head was replaced (transformers 3532)",
        built_before_the_head_was_replaced,
        "no optimizer",
        trainable=("second",),
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
    case(
        "the first layer requires no gradient, and the optimizer has the head alone: AdamW",
        head_alone,
        frozen=("first",),
    ),
    case(
        "a low-rank adapter, whose first gradient is exactly zero, under clipping: AdamW",
        adapter,
        frozen=("first",),
    ),
    case(
        "nothing is frozen; one buffer is each parameter's grad on every step, filled anew",
        grad_buffers,
    ),
    case(
        "a model with a frozen layer becomes bfloat16 on the way: plain SGD",
        becomes_bfloat16,
    ),
    case(
        "grads assigned by hand, another row on each step, over those of the step before",
        gradient_of_another,
        granularity="row",
    ),
)
"""Loops in which all is well."""
