"""What a step finds in ``.grad``: the five states of README.md's glossary.

Content and identity decide. Autograd is asked whether zeros came, and whether it brought
anything where the content is the same as before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.utils.weak import TensorWeakRef

from sweep.values.words import GradState
from sweep.watching import digests
from sweep.watching.arrivals import Arrivals
from sweep.watching.parts import values_of

_SAME_DIRECTION = 1e-4
"""By how much the ratio of two sums may differ between a grad and a multiple of it: clipping
rounds each element."""


class State(StrEnum):
    """What a step finds in a parameter's ``.grad``."""

    NONE = "none"
    LEFT_ZEROS = "left_zeros"  # nothing came since the step before, or it was zeroed by hand
    ZEROS_CAME = "zeros_came"  # autograd brought them
    STALE = "stale"  # what the step before left
    FRESH = "fresh"

    @property
    def grad(self) -> GradState:
        """The same in the words of the sweep."""
        if self is State.NONE:
            return GradState.NONE
        zeros = self in (State.LEFT_ZEROS, State.ZEROS_CAME)
        return GradState.ZERO if zeros else GradState.NONZERO


UNREACHED = (State.NONE, State.LEFT_ZEROS, State.STALE)
"""States in which a parameter has no gradient of the step's own."""


@dataclass(frozen=True, slots=True)
class _Left:
    """A grad as a step left it, without a copy.

    ``sums`` are those of `digests.directions`, for each part; ``fed`` is whether autograd had
    brought it, and nobody else.
    """

    grad: TensorWeakRef
    version: int
    sums: tuple[tuple[float, float], ...]
    fed: bool

    def is_fed(self, grad: Tensor, sums: tuple[tuple[float, float], ...]) -> bool:
        """Whether ``grad``, with those ``sums``, is what autograd brought then, or a multiple."""
        if not self.fed or sums == self.sums:
            return self.fed
        if (self.grad() is not grad and grad.numel() <= 1) or not any(map(any, self.sums)):
            return False  # a single number, or zeros, tells nothing by its ratio
        return len(sums) == len(self.sums) and all(
            math.isclose(one * b, two * a, rel_tol=_SAME_DIRECTION)
            for (one, two), (a, b) in zip(sums, self.sums, strict=True)
        )


class Grads:
    """What one optimizer's steps find in its parameters' grads."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._left: dict[int, _Left | None] = {}
        self._clock = arrivals.clock  # when the step before ended

    def states(self, parameters: Sequence[Tensor]) -> dict[int, State]:
        """The state of each parameter's grad now, by identity."""
        found = dict.fromkeys(map(id, parameters), State.NONE)
        having = [(p, grad) for p in parameters if (grad := p.grad) is not None]
        values = [values_of(grad) for _, grad in having]
        for (parameter, grad), flags in zip(
            having, digests.by_part(digests.have_nonzero, values), strict=True
        ):
            state = self._of_nonzero(parameter, grad) if any(flags) else self._of_zeros(parameter)
            found[id(parameter)] = state
        return found

    def row_states(self, parameter: Tensor, state: State) -> dict[State, Tensor]:
        """Which rows are in which state, where the whole is in ``state``.

        Boolean tensors of shape ``(rows,)``, which cover each row once.
        """
        grad = parameter.grad
        if grad is None:
            (value,) = values_of(parameter)
            return {State.NONE: torch.ones(value.shape[0], dtype=torch.bool, device=value.device)}
        nonzero, listed = digests.rows_with_nonzero(grad), digests.listed_rows(grad)
        fresh = nonzero & self._rows_that_came(parameter, grad, state)
        return {
            State.FRESH: fresh,
            State.STALE: nonzero & ~fresh,
            State.ZEROS_CAME: listed & ~nonzero,
            State.LEFT_ZEROS: ~nonzero & ~listed,
        }

    def state_in(self, parameter: Tensor, where: Tensor, state: State) -> State:
        """The state of the part of a grad where ``where`` is true; ``state`` is the whole's."""
        if parameter.grad is None or digests.has_nonzero(parameter.grad, where):
            return state
        return state if state is State.ZEROS_CAME else State.LEFT_ZEROS

    def begin(self, parameters: Sequence[Tensor]) -> None:
        """Meets parameters as the watch begins: zeros were left there, any other grad is new."""
        self._left |= dict.fromkeys(map(id, parameters))

    def leave(self, parameters: Sequence[Tensor], ended: int | None = None) -> None:
        """Remembers what is in the grads at the end of a step.

        ``ended`` is when that was, on the clock of the arrivals; None is now. What came since
        then was not left.
        """
        now = self._arrivals.clock if ended is None else ended
        having = [(p, grad) for p in parameters if (grad := p.grad) is not None]
        having = [(p, grad) for p, grad in having if self._arrivals.of(p).time <= now]
        before = {id(p): self._left.get(id(p)) for p, _ in having}
        self._left |= dict.fromkeys(map(id, parameters))
        values = [values_of(grad) for _, grad in having]
        for (parameter, grad), sums in zip(
            having, digests.by_part(digests.directions, values), strict=True
        ):
            own, left = tuple(sums), before[id(parameter)]
            fed = self.came(parameter) or (left is not None and left.is_fed(grad, own))
            self._left[id(parameter)] = _Left(TensorWeakRef(grad), grad._version, own, fed)
        self._clock = now

    def came(self, parameter: Tensor) -> bool:
        """Whether autograd has brought the parameter anything since the step before."""
        return self._arrivals.of(parameter).time > self._clock

    def _of_zeros(self, parameter: Tensor) -> State:
        arrival = self._arrivals.of(parameter)
        if arrival.time > self._clock:
            return State.ZEROS_CAME if arrival.left_zeros else State.LEFT_ZEROS
        # A parameter that is met later has not been listened to: nobody leaves zeros in a grad
        # that was not there.
        return State.LEFT_ZEROS if id(parameter) in self._left else State.ZEROS_CAME

    def _of_nonzero(self, parameter: Tensor, grad: Tensor) -> State:
        arrival, left = self._arrivals.of(parameter), self._left.get(id(parameter))
        if arrival.time > self._clock or left is None:
            return State.FRESH
        if not left.fed and (left.grad() is not grad or grad._version != left.version):
            return State.FRESH  # somebody writes the gradients, the same ones this time, or not
        sums = tuple(digests.directions(values_of(grad)))
        is_left = sums == left.sums or left.is_fed(grad, sums)
        return State.STALE if is_left else State.FRESH

    def _rows_that_came(self, parameter: Tensor, grad: Tensor, state: State) -> Tensor | bool:
        """Which rows are of this step, of those that are not zeros."""
        arrival, left = self._arrivals.of(parameter), self._left.get(id(parameter))
        added_to_what_was_left = left is not None and left.grad() is grad
        if state is not State.FRESH or not added_to_what_was_left or not self.came(parameter):
            return state is State.FRESH
        # FSDP2 adds to a shard's grad itself: which rows it brought cannot be told then.
        return True if arrival.row_times is None else arrival.row_times > self._clock
