"""The score of a model: asked for after a step, the last above all, without touching training."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from sweep.errors import WorkloadError
from sweep.workloads.seeding import generators_now
from sweep.workloads.workload import Workload

SCORED_EVERY = 10
"""After how many steps each a traced trial is scored, too."""


def is_scored(step: int) -> bool:
    """Whether a traced trial is scored after that step, counting from 0."""
    return (step + 1) % SCORED_EVERY == 0


def score_of(workload: Workload) -> float | None:
    """The workload's score of its model as it stands; None where it has none, or it is NaN.

    The model is in evaluation mode and no grads are recorded meanwhile; the mode of each of its
    modules and the generators are put back. Raises WorkloadError for a score that is no number,
    and whatever else the score raises.
    """
    if workload.score is None:
        return None
    put_back = generators_now()
    try:
        with torch.no_grad(), _evaluated(workload.model):
            score = workload.score(workload.model, workload.data)
    finally:
        put_back()
    if isinstance(score, torch.Tensor) and score.numel() == 1:
        score = score.item()
    if isinstance(score, bool) or not isinstance(score, numbers.Real):
        raise WorkloadError(
            f"The workload's score returned {type(score).__name__}; score(model, data) returns "
            f"one number, larger when better."
        )
    return None if score != score else float(score)


@contextmanager
def _evaluated(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
