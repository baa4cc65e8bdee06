"""What a trial finds of the process it runs in: torch's modes, and what optimizers leave behind.

Whatever ran before it, the modes are those of a new process. And as a step may count in an
attribute of its class, fill a list of its module, or draw from a generator of the user's own, each
training of a trial finds of these what the first found, so that a new optimizer has no history
there either; a rehearsal leaves no trace.
"""

from __future__ import annotations

import copy
import inspect
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sweep.optimizers import registry

_REBOUND = (bool, int, float, str, tuple, type(None))
"""Values that code can only replace: what had them is given them back."""

_NOTHING_OF_THEIRS = sys.stdlib_module_names | {"torch"}

LARGEST_KEPT = 4096
"""Elements of the largest tensor that is kept in a copy."""

PutBack = Callable[[], object]

_MODES: tuple[tuple[Callable[[], Any], Callable[[Any], object], Any], ...] = (
    (torch.get_num_threads, torch.set_num_threads, 1),  # another number sums in another order
    (torch.is_grad_enabled, torch.set_grad_enabled, True),
    (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    (torch.get_default_device, torch.set_default_device, torch.device("cpu")),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0),
    *(
        (partial(torch.is_autocast_enabled, kind), partial(torch.set_autocast_enabled, kind), False)
        for kind in ("cpu", "cuda")
    ),
)
"""States of the whole process: how each is asked for, how it is set, and what it is in trials."""


@contextmanager
def fresh_modes() -> Iterator[None]:
    """Runs its body with one torch thread and torch's own modes; puts back what was there.

    A mode that an earlier trial or a library left behind would make another trial of it.
    """
    found = [get() for get, _, _ in _MODES]
    try:
        for get, bring, in_trials in _MODES:
            if get() != in_trials:  # setting some of them costs every later call
                bring(in_trials)
        yield
    finally:
        for (get, bring, _), value in zip(_MODES, found, strict=True):
            if get() != value:
                bring(value)


@contextmanager
def undisturbed(optimizer: str) -> Iterator[PutBack]:
    """Puts back at its end what the class of that name keeps; gives what does so earlier.

    Raises MisuseError where it cannot be imported.
    """
    kind = registry.optimizer_class(registry.lookup(optimizer))
    put_back = surroundings_now(*[kind] * isinstance(kind, type))
    try:
        yield put_back
    finally:
        put_back()


def surroundings_now(*kinds: type) -> PutBack:
    """Gives a function that puts back what the classes' own code refers to, as it is now.

    That is plain values, lists, dicts and sets of them, small tensors, and generators: in
    attributes of the class, in its module, in what its functions close over and have as defaults.
    Torch's own classes have none.
    """
    undo = [
        put_back
        for each in dict.fromkeys(each for kind in kinds for each in kind.__mro__)
        if each.__module__.partition(".")[0] not in _NOTHING_OF_THEIRS
        for put_back in _of_class(each)
    ]

    def put_back_all() -> None:
        for put_back in undo:
            put_back()

    return put_back_all


def _of_class(kind: type) -> Iterator[PutBack]:
    for name, value in list(vars(kind).items()):
        if not name.startswith("__"):
            yield from _of_value(value, partial(setattr, kind, name, value))
    for function, names in _functions(kind):
        for name in filter(function.__globals__.__contains__, names):
            value = function.__globals__[name]
            bind = partial(function.__globals__.__setitem__, name, value)
            yield from _of_value(value, bind, function.__module__)
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            yield from _of_value(value, bool)
        for cell in function.__closure__ or ():
            yield from _of_cell(cell)


@lru_cache(maxsize=64)
def _functions(kind: type) -> tuple[tuple[FunctionType, tuple[str, ...]], ...]:
    """The functions of a class, and those of their modules that they call, with the globals read.

    A class that is changed later on is looked at as it was.
    """
    found: dict[FunctionType, tuple[str, ...]] = {}
    waiting: list[Any] = list(vars(kind).values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, property | staticmethod | classmethod):
            value = value.fget if isinstance(value, property) else value.__func__
        function = inspect.unwrap(value) if isinstance(value, FunctionType) else None
        if isinstance(function, FunctionType) and function not in found:
            named = sorted(_names(function.__code__) & function.__globals__.keys())
            found[function] = tuple(named)
            called = [function.__globals__[name] for name in named]
            called = [each for each in called if isinstance(each, FunctionType)]
            waiting += [each for each in called if each.__module__ == function.__module__]
    return tuple(found.items())


def _names(code: CodeType) -> set[str]:
    """The names that ``code`` looks up, and those of what is defined inside it."""
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _of_cell(cell: CellType) -> Iterator[PutBack]:
    try:
        value = cell.cell_contents
    except ValueError:  # empty as yet
        return
    yield from _of_value(value, lambda: setattr(cell, "cell_contents", value))


def _of_value(value: Any, bind: PutBack, module: str = "") -> Iterator[PutBack]:
    """What puts a value back; nothing for what is left alone, such as modules and large tensors.

    Of an object of a class of that ``module``, its attributes are put back.
    """
    if isinstance(value, _REBOUND):
        yield bind
    elif isinstance(value, torch.Generator):
        state = value.get_state()
        yield lambda: value.set_state(state)
    elif isinstance(value, random.Random):
        drawn = value.getstate()
        yield lambda: value.setstate(drawn)
    elif isinstance(value, np.random.Generator):
        at = copy.deepcopy(value.bit_generator.state)
        yield lambda: setattr(value.bit_generator, "state", at)
    elif isinstance(value, dict | set):
        held: Any = copy.copy(value)
        yield lambda: (value.clear(), value.update(held))
    elif isinstance(value, list | deque):
        listed = list(value)
        yield lambda: (value.clear(), value.extend(listed))
    elif isinstance(value, Tensor) and value.numel() <= LARGEST_KEPT:
        content = value.detach().clone()
        yield lambda: (value.detach().copy_(content), bind())
    elif module and type(value).__module__ == module and hasattr(value, "__dict__"):
        yield from _of_value(vars(value), bind)
