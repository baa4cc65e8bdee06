"""The probe: which parameters did one ``step()`` change, and by how much?

It compares bits, not values. The sweep's trial and a user's own loop compare by the same
functions, which know nothing of schedules, optimizers or verdicts.
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

    Attributes:
        before: the copies of the latest `before_step`, by name; the next one overwrites them.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        """Watches ``parameters``, by name; only reads them."""
        self._parameters = parameters
        self.before: dict[str, Tensor] = {}

    def before_step(self) -> None:
        """Copies the bits of every parameter."""
        for name, parameter in self._parameters.items():
            if name in self.before:
                self.before[name].copy_(parameter.detach())
            else:
                self.before[name] = parameter.detach().clone()

    def after_step(self) -> dict[str, Change]:
        """What changed since `before_step`, by name."""
        return {
            name: change_between(before, self._parameters[name].detach())
            for name, before in self.before.items()
        }

    def changes_of_each(self, replicates: int) -> list[Change]:
        """What changed since `before_step` of each trial, all parameters taken as one."""
        if replicates == 1:
            return [together(self.after_step().values())]
        now = {name: parameter.detach() for name, parameter in self._parameters.items()}
        each = [changes_along(before, now[name]) for name, before in self.before.items()]
        return [together(changes) for changes in zip(*each, strict=True)]


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


def changes_along(before: Tensor, after: Tensor) -> list[Change]:
    """The change of each slice ``[i]`` of two tensors, as `change_between` gives it.

    Norms that are finite are taken for all slices at once.
    """
    moved = moved_elements(before, after).flatten(1).any(dim=1).tolist()
    if not any(moved):
        return [STILL] * len(moved)
    difference = (after.double() - before.double()).abs().flatten(1)
    largest = difference.amax(dim=1).tolist()
    norms = torch.linalg.vector_norm(difference, dim=1).tolist()
    return [
        Change(moved=True, max_change=largest[i], l2=norms[i])
        if moved[i] and math.isfinite(largest[i])
        else change_between(before[i], after[i])
        if moved[i]
        else STILL
        for i in range(len(moved))
    ]


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
