"""What the code of an optimizer's class refers to outside of it: put back after a rehearsal.

A step may count in an attribute of its class, fill a list of its module, or draw from a generator
of the user's own. A rehearsal runs that code, and must leave no trace.
"""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from types import CellType, FunctionType
from typing import Any

import numpy as np
import torch

_REBOUND = (bool, int, float, str, tuple, type(None))
"""Values that code can only replace: what had them is given them back."""

PutBack = Callable[[], object]


def surroundings_now(*kinds: type) -> PutBack:
    """Gives a function that puts back what the classes' own code refers to, as it is now.

    That is plain values, lists, dicts and sets of them, and generators, in attributes of the
    class, in its module and in what its methods close over. Torch's own classes have none.
    """
    undo = [
        put_back
        for each in dict.fromkeys(each for kind in kinds for each in kind.__mro__)
        if each.__module__.partition(".")[0] not in ("torch", "builtins")
        for put_back in _of_class(each)
    ]

    def put_back_all() -> None:
        for put_back in undo:
            put_back()

    return put_back_all


def _of_class(kind: type) -> Iterator[PutBack]:
    functions = [inspect.unwrap(f) for f in vars(kind).values() if isinstance(f, FunctionType)]
    for name, value in list(vars(kind).items()):
        if not name.startswith("__"):
            yield from _of_value(value, partial(setattr, kind, name, value))
    for function in functions:
        names = [name for name in function.__code__.co_names if name in function.__globals__]
        for name in names:
            yield from _of_value(*_in_module(function.__globals__, name))
        for cell in function.__closure__ or ():
            yield from _of_cell(cell)


def _in_module(module: MutableMapping[str, Any], name: str) -> tuple[Any, PutBack]:
    value = module[name]
    return value, lambda: module.__setitem__(name, value)


def _of_cell(cell: CellType) -> Iterator[PutBack]:
    try:
        value = cell.cell_contents
    except ValueError:  # empty as yet
        return
    yield from _of_value(value, lambda: setattr(cell, "cell_contents", value))


def _of_value(value: Any, bind: PutBack) -> Iterator[PutBack]:
    """What puts a value back; nothing for what is left alone, such as modules and tensors."""
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
    elif isinstance(value, list):
        listed = list(value)
        yield lambda: value.__setitem__(slice(None), listed)
