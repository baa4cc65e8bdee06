"""What a trial itself saw of one step: what replays of that step are held against."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from sweep.trial.causes import Parameters
from sweep.trial.probe import bits
from sweep.trial.training import Training
from sweep.values.words import GradState


@dataclass(frozen=True, slots=True)
class Witness:
    """One step of a trial, or of each trial of a stack.

    Attributes:
        step: which, counting from 0.
        loss: of its first forward pass; of a stack's, the sum.
        before: the frozen parameters just before it.
        grads: what the optimizer found in their grads, for each trial.
        after: a hash of all parameters just after it, for each trial.
    """

    step: int
    loss: float
    before: Parameters
    grads: tuple[GradState, ...]
    after: tuple[bytes, ...]

    @classmethod
    def of(cls, training: Training, before: Parameters, grads: Iterable[GradState]) -> Self:
        """What is to be seen of ``training`` just after a step."""
        states = tuple(grads)
        after = digests(training.workload.model.parameters(), len(states))
        return cls(training.current, training.losses[0], before, states, after)


def digests(parameters: Iterable[Tensor], replicates: int = 1) -> tuple[bytes, ...]:
    """A hash of the bits of ``parameters``, for each of the ``replicates`` that they hold."""
    hashes = [hashlib.blake2b(digest_size=16) for _ in range(replicates)]
    for parameter in parameters:
        for hashed, part in zip(hashes, apart(parameter.detach(), replicates), strict=True):
            hashed.update(bits(part.contiguous()).cpu().numpy().data)
    return tuple(hashed.digest() for hashed in hashes)


def apart(tensor: Tensor, replicates: int) -> Sequence[Tensor]:
    """The part of each of ``replicates``; of one alone, ``tensor`` itself."""
    return (tensor,) if replicates == 1 else tensor.unbind()


def copies(parameters: Mapping[str, Tensor]) -> Parameters:
    """Copies of ``parameters``, by name."""
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}
