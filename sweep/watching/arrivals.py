"""When autograd brought a parameter its latest gradient, and whether that left zeros.

This is all that autograd is asked. Whether there is a gradient is read off ``.grad`` when the
optimizer steps (`sweep.watching.states`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from sweep.watching.digests import nonzero_flag, rows_with_nonzero
from sweep.watching.parts import parts, values_of


@dataclass(slots=True)
class Arrival:
    """The latest gradient that autograd brought a parameter.

    Attributes:
        time: on the clock of `Arrivals`; 0 if none has come yet.
        count: how many have come.
        left: for each part of ``.grad`` just after it came, whether it had an element that is
            not zero, on its device.
        row_times: when one came that was not zeros in the row, of shape ``(rows,)``; kept
            where rows are judged and the gradient is added to one that is there.
    """

    time: int = 0
    count: int = 0
    left: tuple[Tensor, ...] = ()
    row_times: Tensor | None = None

    @property
    def left_zeros(self) -> bool:
        """Whether ``.grad`` was all zeros once it had come."""
        return not any(map(bool, self.left))


class Arrivals:
    """Hooks on parameters that note each gradient that comes; `remove` takes them off.

    Attributes:
        clock: the number of gradients that have come so far.
    """

    def __init__(self, *, rows: bool, safely: Callable[[Tensor, Callable[[], None]], None]) -> None:
        """``safely`` is given a parameter and what is to be done about it, which may raise."""
        self.clock = 0
        self._rows = rows
        self._safely = safely
        self._of: dict[int, Arrival] = {}
        self._handles: dict[int, list[Any]] = {}

    def of(self, parameter: Tensor) -> Arrival:
        """The latest gradient that reached ``parameter``; none if it is not listened to."""
        known = self._of.get(id(parameter))
        return Arrival() if known is None else known

    def forget(self, parameter: Tensor) -> None:
        """Takes the hooks off ``parameter``."""
        self._of.pop(id(parameter), None)
        for handle in self._handles.pop(id(parameter), ()):
            handle.remove()

    def remove(self) -> None:
        """Takes every hook off."""
        for handle in chain(*self._handles.values()):
            handle.remove()
        self._handles.clear()

    def listen(self, parameter: Tensor) -> None:
        """Puts the hooks on ``parameter``, whether or not it requires a gradient now."""
        if id(parameter) in self._of:
            return
        arrival = self._of[id(parameter)] = Arrival()
        numeric = parameter.is_floating_point() or parameter.is_complex()
        if numeric and parameter.is_leaf and not parameter.is_inference():
            self._put_hooks_on(parameter, arrival)  # others can have no gradient, ever

    def _put_hooks_on(self, parameter: Tensor, arrival: Arrival) -> None:
        # Hooks survive that requires_grad is toggled, but can only be put on while it is on.
        required = parameter.requires_grad
        parameter.requires_grad_(True)
        nothing_came = False

        def coming(grad: Tensor | None) -> None:
            # A compiled model brings None for what it did not use, and autograd calls the other
            # hook all the same.
            nonlocal nothing_came
            nothing_came = grad is None
            if self._rows and grad is not None and parameter.grad is not None:
                self._safely(parameter, lambda: self._note_rows(parameter, arrival, grad))

        def there(reached: Tensor) -> None:
            if not nothing_came and (grad := reached.grad) is not None:
                self._safely(parameter, lambda: self._note(arrival, grad))

        handles = self._handles[id(parameter)] = []
        try:
            handles.append(parameter.register_hook(coming))  # type: ignore[no-untyped-call]
            handle = parameter.register_post_accumulate_grad_hook(there)  # type: ignore[no-untyped-call]
            handles.append(handle)
            # Ours comes first: an optimizer that steps in such a hook is to find the gradient
            # noted, as autograd brought it. Torch goes by the order of a plain dict.
            hooks: Any = parameter._post_accumulate_grad_hooks
            hooks |= {key: hooks.pop(key) for key in list(hooks) if key != handle.id}
        finally:
            parameter.requires_grad_(required)

    def _note(self, arrival: Arrival, grad: Tensor) -> None:
        self.clock += 1
        arrival.time = self.clock
        arrival.count += 1
        arrival.left = tuple(map(nonzero_flag, values_of(grad)))

    def _note_rows(self, parameter: Tensor, arrival: Arrival, grad: Tensor) -> None:
        (shape,) = {part.shape for part in parts(parameter)}
        if arrival.row_times is None and shape:
            arrival.row_times = torch.zeros(shape[0], dtype=torch.int64, device=grad.device)
        if arrival.row_times is not None:
            arrival.row_times[rows_with_nonzero(grad)] = self.clock + 1
