"""What a trial itself saw of one step: what replays of that step are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from sweep.trial.causes import Parameters
from sweep.trial.stack import digests
from sweep.trial.training import Training
from sweep.values.words import GradState


@dataclass(frozen=True, slots=True)
class Witness:
    """One step of a trial, or of each trial of a stack.

    Attributes:
        step: which, counting from 0.
        before: the frozen parameters just before it.
        grads: what the optimizer found in their grads, for each trial.
        after: a hash of all parameters just after it, for each trial.
    """

    step: int
    before: Parameters
    grads: tuple[GradState, ...]
    after: tuple[bytes, ...]

    @classmethod
    def of(cls, training: Training, before: Parameters) -> Self:
        """What is to be seen of ``training`` just after a step."""
        after = digests(training.workload.model.parameters(), training.replicates)
        return cls(training.current, before, training.grads, after)


def copies(parameters: Mapping[str, Tensor]) -> Parameters:
    """Copies of ``parameters``, by name."""
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}
