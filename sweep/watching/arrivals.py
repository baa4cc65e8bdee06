"""Which parameters did a gradient reach, and when?

Told by autograd itself, through a hook on each parameter, and not read off ``.grad``. Two
ways pass those hooks by: a ``.grad`` that somebody assigns, which `sweep.watching.session`
sees, and DDP's averages, which are written as a backward pass ends and are seen here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from sweep.watching.grads import reached_rows


@dataclass(slots=True)
class Arrival:
    """The latest gradient that reached a parameter.

    Attributes:
        time: on the clock of `Arrivals`; 0 if none has come yet.
        backward: which backward pass brought it.
        version: how often its ``.grad`` had been written to by then.
        row_times: the same for each row, of shape ``(rows,)``; empty unless rows are watched.
    """

    time: int = 0
    backward: int = -1
    version: int = -1
    row_times: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))


class Arrivals:
    """Hooks on parameters that note each gradient that comes; `remove` takes them off.

    Attributes:
        clock: the number of gradients that have come so far.
        backward: the latest backward pass that brought one.
    """

    def __init__(self, *, rows: bool, zeros_count: bool) -> None:
        self.clock = 0
        self.backward = -1
        self._rows = rows
        self._zeros_count = zeros_count
        self._of: dict[int, Arrival] = {}
        self._parameters: list[Tensor] = []
        self._handles: list[Any] = []

    def of(self, parameter: Tensor) -> Arrival:
        """The latest gradient that reached ``parameter``, which is followed from now on."""
        known = self._of.get(id(parameter))
        return self.follow(parameter) if known is None else known

    def follow(self, parameter: Tensor) -> Arrival:
        """Puts the hooks on ``parameter``, whether or not it requires a gradient now."""
        arrival = self._of[id(parameter)] = Arrival()
        if self._has_rows(parameter):
            arrival.row_times = torch.zeros(
                parameter.shape[0], dtype=torch.int64, device=parameter.device
            )
        if _can_require_grad(parameter):
            self._parameters.append(parameter)
            self._hook(parameter, arrival)
        return arrival

    def remove(self) -> None:
        """Takes every hook off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, parameter: Tensor, arrival: Arrival) -> None:
        # Hooks survive that requires_grad is toggled, but can only be put on while it is on.
        required = parameter.requires_grad
        parameter.requires_grad_(True)
        came = False

        def coming(grad: Tensor | None) -> None:
            # Compiled models and custom functions may bring None, which is no gradient.
            nonlocal came
            came = grad is not None
            if grad is not None and self._has_rows(parameter):
                rows = reached_rows(grad, zeros_count=self._zeros_count)
                arrival.row_times[rows] = self.clock + 1  # the time that `there` will note

        def there(reached: Tensor) -> None:
            if came:
                self._note(arrival, reached)

        try:
            for register, hook in (
                (parameter.register_hook, coming),
                (parameter.register_post_accumulate_grad_hook, there),
            ):
                self._handles.append(register(hook))  # type: ignore[no-untyped-call]
        finally:
            parameter.requires_grad_(required)

    def mark(self, parameter: Tensor) -> None:
        """Has what is in the parameter's ``.grad`` count as a gradient that came just now."""
        arrival = self.of(parameter)
        self._arrived(arrival, parameter)
        if self._has_rows(parameter) and parameter.grad is not None:
            rows = reached_rows(parameter.grad, zeros_count=self._zeros_count)
            arrival.row_times[rows] = self.clock

    def _note(self, arrival: Arrival, parameter: Tensor) -> None:
        backward = torch._C._current_graph_task_id()
        if backward != self.backward:
            self.backward = backward
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                self._look_at_the_end_of_backward()
        self._arrived(arrival, parameter)

    def _arrived(self, arrival: Arrival, parameter: Tensor) -> None:
        self.clock += 1
        arrival.time, arrival.backward = self.clock, self.backward
        arrival.version = -1 if parameter.grad is None else parameter.grad._version

    def _look_at_the_end_of_backward(self) -> None:
        """Has what is written into ``.grad`` until the pass ends count as a gradient.

        DDP writes other processes' gradients in a callback of its own, queued during the
        pass. A callback that is queued by a callback runs after all of those.
        """
        before = [(parameter, _written(parameter)) for parameter in self._parameters]
        engine = torch.autograd.Variable._execution_engine

        def look() -> None:
            for parameter, written in before:
                if _written(parameter) != written:
                    self.mark(parameter)

        engine.queue_callback(lambda: engine.queue_callback(look))

    def _has_rows(self, parameter: Tensor) -> bool:
        return self._rows and parameter.dim() > 0


def _can_require_grad(parameter: Tensor) -> bool:
    """Whether a gradient can ever reach it: integers and inference tensors have none."""
    numeric = parameter.is_floating_point() or parameter.is_complex()
    return numeric and parameter.is_leaf and not parameter.is_inference()


def _written(parameter: Tensor) -> tuple[int, int]:
    """Something that differs once its ``.grad`` was assigned or written to."""
    grad = parameter.grad
    return (0, -1) if grad is None else (id(grad), grad._version)
