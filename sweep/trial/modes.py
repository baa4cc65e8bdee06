"""What a trial finds of torch, whatever ran before it: one thread, and the modes of a new process.

Another number of threads would sum in another order, and a mode that an earlier trial or a
library left behind would make another trial of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class _Mode:
    """A state of the whole process: how to ask for it, how to set it, and what it is in trials."""

    get: Callable[[], Any]
    set: Callable[[Any], object]
    in_trials: Any


_MODES = (
    _Mode(torch.get_num_threads, torch.set_num_threads, 1),
    _Mode(torch.is_grad_enabled, torch.set_grad_enabled, True),
    _Mode(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    _Mode(torch.get_default_device, torch.set_default_device, torch.device("cpu")),
    _Mode(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
    _Mode(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0),
    *(
        _Mode(
            partial(torch.is_autocast_enabled, device),
            partial(torch.set_autocast_enabled, device),
            False,
        )
        for device in ("cpu", "cuda")
    ),
)


@contextmanager
def fresh_modes() -> Iterator[None]:
    """Runs its body with one torch thread and torch's own modes; puts back what was there."""
    found = [mode.get() for mode in _MODES]
    try:
        for mode in _MODES:
            _bring(mode, mode.in_trials)
        yield
    finally:
        for mode, value in zip(_MODES, found, strict=True):
            _bring(mode, value)


def _bring(mode: _Mode, value: Any) -> None:
    """Sets ``mode`` to ``value`` where it is not: setting some of them costs every later call."""
    if mode.get() != value:
        mode.set(value)
