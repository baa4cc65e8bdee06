"""Whether the frozen layer's grad changes how the *other* parameters move.

Optimizers with a global step size do this (D-Adaptation, Prodigy): zeros in one layer's
grad enter a sum over all parameters. The effect can show on the very step or, through the
state that the step leaves behind, on one of the next few.
"""

from __future__ import annotations

import torch

from sweep.probe import change_between
from sweep.seeding import generators_now
from sweep.setting import PlannedTrial
from sweep.training import Training

STEPS_WATCHED = 5
"""The step itself and four more: of 206 optimizers, all that ever do it do it by then, save
for adaptive clipping (pytorch_optimizer.adagc), whose first clipped step may come later."""


def moves_others(planned: PlannedTrial, step: int, device: str = "cpu") -> bool:
    """Whether the other parameters would have moved differently, had the grad been None.

    Two trainings run side by side from ``step`` on, the first frozen step on which the frozen
    parameters' grads are not None. One has them set to None on frozen steps. After each step
    its frozen parameters are put where the other's are, so that nothing but the optimizer can
    tell the two apart.
    """
    real, other = _at(planned, step, device), _at(planned, step, device)
    other.interfere = lambda: _drop_grads_if_frozen(other)
    for current in range(step, min(step + STEPS_WATCHED, planned.steps)):
        put_back = generators_now()
        real.run(current)
        put_back()
        other.run(current)
        if _others_differ(real, other):
            return True
        _align(real, other)
        real.clear_grads()
        other.clear_grads()
    return False


def _at(planned: PlannedTrial, step: int, device: str) -> Training:
    """The training just before ``step``."""
    training = Training(planned, device)
    training.advance_to(step)
    return training


def _drop_grads_if_frozen(training: Training) -> None:
    if training.frozen:
        for parameter in training.frozen_parameters.values():
            parameter.grad = None


def _others_differ(real: Training, other: Training) -> bool:
    return any(
        change_between(other.other_parameters[name].detach(), parameter.detach()).moved
        for name, parameter in real.other_parameters.items()
    )


def _align(real: Training, other: Training) -> None:
    """Gives ``other``'s frozen parameters the bits and grads of ``real``'s."""
    for name, parameter in real.frozen_parameters.items():
        with torch.no_grad():
            other.frozen_parameters[name].copy_(parameter)
        grad = parameter.grad
        other.frozen_parameters[name].grad = None if grad is None else grad.clone()
