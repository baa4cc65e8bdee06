"""The axes in words: their values, what each has when a spec leaves it out, their meaning."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.values.words import Axis, Freeze, ZeroGrad


@dataclass(frozen=True, slots=True)
class AxisDescription:
    """One axis as `leaksweep show axes` lists it."""

    axis: Axis
    values: str
    default: str
    meaning: str


AXES = (
    AxisDescription(
        Axis.OPTIMIZER,
        "a registry name, a pattern such as heavyball.*, or package.module:Class",
        "(needed)",
        "what updates the parameters",
    ),
    AxisDescription(Axis.LR, "numbers >= 0", "the optimizer's own", "learning rate"),
    AxisDescription(
        Axis.WEIGHT_DECAY, "numbers >= 0", "0", "weight decay; null where there is none"
    ),
    AxisDescription(
        Axis.MOMENTUM,
        "numbers >= 0; beta1 below 1",
        "the optimizer's own",
        "coefficient of the first-moment memory, whatever its constructor calls it; "
        "null where there is none",
    ),
    AxisDescription(
        Axis.ZERO_GRAD,
        ", ".join(ZeroGrad),
        "all three",
        "grads set to None after each step, set to zero, or never cleared",
    ),
    AxisDescription(
        Axis.SCHEDULE,
        "alternate, always, never, every:N, after:K",
        "alternate",
        "which steps freeze the layer, counting from 0: the odd ones; all; none; those not "
        "divisible by N; those from K on",
    ),
    AxisDescription(
        Axis.FREEZE, ", ".join(Freeze), "detach", "how the layer is kept from training then"
    ),
    AxisDescription(Axis.SEED, "whole numbers >= 0", "0", "model initialisation and data"),
)
