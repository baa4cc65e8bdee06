"""The probe: which parameters did one ``step()`` change, and by how much?

It compares bits, not values. The same probe serves the sweep's trial and a user's own
loop, so it knows nothing of schedules, optimizers or verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

_INTEGER_OF_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True)
class Change:
    """What one ``step()`` did to a parameter, or to several taken together.

    Attributes:
        moved: some element's bits differ. An element that is NaN before and after has not
            moved, whatever its payload.
        max_change: largest absolute change of an element, in the parameter's units; NaN
            where an element became NaN or stopped being it.
        l2: the L2 norm of the change; NaN likewise.
    """

    moved: bool
    max_change: float
    l2: float


STILL = Change(moved=False, max_change=0.0, l2=0.0)


class Probe:
    """The bits of some parameters just before a step, held against those just after it.

    Holds one copy of the parameters from the first `before_step` on.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        """Watches ``parameters``, by name; only reads them."""
        self._parameters = dict(parameters)
        self._before: dict[str, Tensor] = {}

    def before_step(self) -> None:
        """Copies the parameters' bits."""
        for name, parameter in self._parameters.items():
            if name in self._before:
                self._before[name].copy_(parameter.detach())
            else:
                self._before[name] = parameter.detach().clone()

    def after_step(self) -> dict[str, Change]:
        """What changed since `before_step`, by name."""
        return {
            name: change_between(self._before[name], parameter.detach())
            for name, parameter in self._parameters.items()
        }


def change_between(before: Tensor, after: Tensor) -> Change:
    """The change from ``before`` to ``after``, two tensors of one shape and type.

    Norms are taken in float64, whatever the tensors' own type.

    >>> change_between(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]))
    Change(moved=True, max_change=0.5, l2=0.5)
    """
    if torch.equal(bits(before), bits(after)):
        return STILL
    wide = torch.complex128 if before.is_complex() else torch.float64
    difference = (after.to(wide) - before.to(wide)).abs()
    largest = difference.max().item()
    if not math.isfinite(largest):  # inf - inf is NaN, so only now does it matter who moved
        moved = moved_elements(before, after)
        if not moved.any():
            return STILL
        difference = difference[moved]
        largest = difference.max().item()
    return Change(moved=True, max_change=largest, l2=torch.linalg.vector_norm(difference).item())


def moved_elements(before: Tensor, after: Tensor) -> Tensor:
    """A boolean tensor of the tensors' shape: where the bits differ and are not both NaN."""
    differ = bits(before) != bits(after)
    if before.is_complex():
        differ = differ.any(dim=-1)
    return differ & ~(torch.isnan(before) & torch.isnan(after))


def bits(tensor: Tensor) -> Tensor:
    """``tensor`` seen as integers of its element size; complex ones gain a last axis of 2."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.view(_INTEGER_OF_SIZE[real.element_size()])


def together(changes: Iterable[Change]) -> Change:
    """The change of several parameters taken as one.

    >>> together([STILL, Change(True, 3.0, 3.0), Change(True, 2.0, 4.0)])
    Change(moved=True, max_change=3.0, l2=5.0)
    """
    moving = [change for change in changes if change.moved]
    if not moving:
        return STILL
    if len(moving) == 1:
        return moving[0]
    largest = [change.max_change for change in moving]
    return Change(
        moved=True,
        max_change=math.nan if any(map(math.isnan, largest)) else max(largest),
        l2=math.hypot(*(change.l2 for change in moving)),
    )
