"""Whether the frozen layer's grad changes how the *other* parameters move.

Optimizers with a global step size do this (D-Adaptation, Prodigy): zeros in one layer's
grad enter a sum over all parameters. The effect can show on the very step or, through the
state that the step leaves behind, on one of the next few.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sweep.trial.probe import change_between
from sweep.trial.training import Start, Training
from sweep.values.setting import PlannedTrial
from sweep.workloads.seeding import generators_now

STEPS_WATCHED = 5
"""The step itself and four more: of 206 optimizers, all that ever do it do it by then, save
for adaptive clipping (pytorch_optimizer.adagc), whose first clipped step may come later."""


def moves_others(planned: PlannedTrial, start: Start, step: int) -> bool:
    """Whether the other parameters would have moved differently, had the grad been None.

    ``step`` is the first frozen step on which the frozen parameters' grads are not None.
    """
    return any(
        change_between(real, other).moved
        for pairs in others_side_by_side(planned, start, step)
        for real, other in pairs
    )


def others_side_by_side(
    planned: PlannedTrial, start: Start, step: int
) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """After ``step`` and each of the few after it, the other parameters of two trainings.

    The second training has the frozen parameters' grads set to None on frozen steps. After
    each step its frozen parameters are put where the first's are, so that nothing but the
    optimizer can tell the two apart.
    """
    real, other = start(planned), start(planned)
    real.advance_to(step)
    other.advance_to(step)
    other.interfere = lambda: _drop_grads_if_frozen(other)
    for current in range(step, min(step + STEPS_WATCHED, planned.steps)):
        put_back = generators_now()
        real.run(current)
        put_back()
        other.run(current)
        yield [
            (parameter.detach(), other.other_parameters[name].detach())
            for name, parameter in real.other_parameters.items()
        ]
        _align(real, other)
        real.clear_grads()
        other.clear_grads()


def _drop_grads_if_frozen(training: Training) -> None:
    if training.frozen:
        for parameter in training.frozen_parameters.values():
            parameter.grad = None


def _align(real: Training, other: Training) -> None:
    """Gives ``other``'s frozen parameters the bits and grads of ``real``'s."""
    for name, parameter in real.frozen_parameters.items():
        with torch.no_grad():
            other.frozen_parameters[name].copy_(parameter)
        grad = parameter.grad
        other.frozen_parameters[name].grad = None if grad is None else grad.clone()
