"""What a training consists of at one moment, but for its optimizer: bits to go back to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from sweep.trial.probe import bits
from sweep.workloads.seeding import generators_now


@dataclass(frozen=True, slots=True)
class Moment:
    """A model's parameters, buffers and grads, and the generators.

    ``put_back_generators`` may be called as often as there are trainings that go on from here.
    """

    parameters: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    grads: Mapping[str, Tensor | None]
    put_back_generators: Callable[[], None]

    @classmethod
    def last_of(cls, model: nn.Module) -> Self:
        """The present moment in the very tensors of ``model``, which is trained no more."""
        return cls(
            parameters={name: p.detach() for name, p in model.named_parameters()},
            buffers=dict(model.named_buffers()),
            grads={name: p.grad for name, p in model.named_parameters()},
            put_back_generators=generators_now(),
        )

    @classmethod
    def of(cls, model: nn.Module) -> Self:
        """The present moment, in copies."""
        return cls(
            parameters=copies(dict(model.named_parameters())),
            buffers=copies(dict(model.named_buffers())),
            grads={name: cloned(p.grad) for name, p in model.named_parameters()},
            put_back_generators=generators_now(),
        )

    def put_into(self, model: nn.Module) -> None:
        """Gives ``model``, which has the same names, the bits of this moment."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(self.parameters[name])
                parameter.grad = cloned(self.grads[name])
            for name, buffer in model.named_buffers():
                buffer.copy_(self.buffers[name])


def copies(
    parameters: Mapping[str, Tensor], like: Mapping[str, Tensor] | None = None
) -> Mapping[str, Tensor]:
    """Copies of ``parameters``, by name; of one with the bits of its namesake in ``like``, that."""
    return {name: _copied(p.detach(), (like or {}).get(name)) for name, p in parameters.items()}


def _copied(parameter: Tensor, like: Tensor | None) -> Tensor:
    same = like is not None and torch.equal(bits(like), bits(parameter))
    return like if like is not None and same else parameter.clone()


def cloned(grad: Tensor | None) -> Tensor | None:
    """A copy of ``grad`` without its graph."""
    return None if grad is None else grad.detach().clone()
