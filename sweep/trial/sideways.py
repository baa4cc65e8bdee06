"""Whether the frozen layer's grad changes how the *other* parameters move.

Optimizers with a global step size do this (D-Adaptation, Prodigy): zeros in one layer's
grad enter a sum over all parameters. The effect can show on the very step or, through the
state that the step leaves behind, on one of the next few.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sweep.trial.causes import NOT_REPEATED, UnexplainedError, tried
from sweep.trial.diary import Followed
from sweep.trial.moment import cloned
from sweep.trial.reach import Reach
from sweep.trial.replay import drop
from sweep.trial.stack import digests
from sweep.trial.training import Training


def moves_others(reach: Reach, followed: Sequence[Followed]) -> list[bool]:
    """Whether the other parameters would have moved differently, had the grad been None.

    For each trial; ``followed`` are its own steps, which are one side of the comparison. A
    difference counts where a training that keeps its grads shows none. Raises
    `UnexplainedError` where that does not repeat the trial either.
    """
    if reach.has_copy:
        found, _ = tried(lambda: _known_to_differ(reach, followed))
        if found is not None:
            return found
        reach.forget_copy()  # it does not repeat the trial, or lacks something
    return _known_to_differ(reach, followed)


def _known_to_differ(reach: Reach, followed: Sequence[Followed]) -> list[bool]:
    differ = _differ(reach, followed, without_grads=True)
    if any(differ) and any(_differ(reach, followed, without_grads=False)):
        raise UnexplainedError(NOT_REPEATED)
    return differ


def _differ(reach: Reach, followed: Sequence[Followed], *, without_grads: bool) -> list[bool]:
    """Whether the others move otherwise than in the trial, on one of the steps or another.

    After each step the frozen parameters and their grads are put where the trial's were, so
    that nothing but the optimizer can tell the two apart.
    """
    training = reach.at(followed[0].step)
    if without_grads:
        training.change_grads(drop)
    differ = [False] * training.replicates
    for lived in followed:
        if lived is not followed[0]:
            training.ready(lived.step)
        training.step()
        others = digests(training.other_parameters.values(), training.replicates)
        now = zip(others, lived.others, strict=True)
        differ = [was or here != there for was, (here, there) in zip(differ, now, strict=True)]
        if all(differ):
            break
        _align(training, lived)
        training.clear_grads()
        lived.put_back_generators()
    return differ


def _align(training: Training, lived: Followed) -> None:
    """Gives the frozen parameters the bits and grads that they had in the trial."""
    for name, parameter in training.frozen_parameters.items():
        with torch.no_grad():
            parameter.copy_(lived.frozen[name])
        parameter.grad = cloned(lived.grads[name])
