"""Copies of an optimizer that can take a step in its place: as it is, or built anew.

A copy holds only the parameters that it is given, as copies too. Nothing of an optimizer is
assumed: whether it can be built anew is tried (`sweep.watching.rehearsal`).
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from sweep.trial.causes import UnexplainedError
from sweep.watching.families import INNER

DECAY = "weight_decay"
_ABSENT = nn.Parameter(torch.empty(0, device="meta"))
"""Stands for every other parameter, which an optimizer may hold in attributes of its own: it has
no values, so that a rehearsal which needs them fails, and none can change them."""

_DEEPEST = 4
"""Levels of dicts and lists that are searched for tensors."""


@dataclass(frozen=True, slots=True)
class Double:
    """A parameter and the copy that stands in for it.

    ``rows`` are the numbers of the rows that the copy has; None means all of them.
    """

    original: Tensor
    copy: nn.Parameter
    rows: Tensor | None = None

    def cut(self, tensor: Tensor) -> Tensor:
        """A copy of what a process holds of ``tensor``, of these rows if it has the same shape."""
        local = local_part(tensor)
        same = local.shape == local_part(self.original).shape
        return local[self.rows] if self.rows is not None and same else _clone(local)


def local_part(tensor: Tensor) -> Tensor:
    """The local shard of a DTensor, so that no copy asks another process; else the tensor."""
    return getattr(tensor, "_local_tensor", tensor).detach()


def _clone(tensor: Tensor) -> Tensor:
    """A copy, of its parts where it keeps its values in others and may not know how to copy."""
    if not is_traceable_wrapper_subclass(tensor):
        return tensor.clone()
    names, context = tensor.__tensor_flatten__()
    held = {name: _clone(getattr(tensor, name)) for name in names}
    found: Tensor = type(tensor).__tensor_unflatten__(held, context, tensor.shape, tensor.stride())
    return found


def stand_in(original: Optimizer, doubles: Sequence[Double]) -> Optimizer:
    """A copy with the state it has, for the doubles alone. Raises what cannot be stand_in."""
    memo: dict[int, Any] = {}
    for optimizer in with_inner(original):
        for parameter in _parameters(optimizer):
            memo[id(parameter)] = _ABSENT
            memo[id(optimizer.state.get(parameter))] = {}
    memo[id(None)] = None
    for double in doubles:
        memo[id(double.original)] = double.copy
        for optimizer in with_inner(original):
            state = optimizer.state.get(double.original)
            if isinstance(state, Mapping):
                memo[id(state)] = {key: _of_state(v, double, memo) for key, v in state.items()}
    return _copied(original, memo)


def built_anew(original: Optimizer, doubles: Sequence[Double], *, decay: bool) -> Optimizer:
    """A new one of the same class and hyperparameters, without any state.

    ``decay`` is whether it has the weight decay of the old one, or none. Raises
    UnexplainedError where its constructor needs what is not known.
    """
    kind = type(original)
    takes = _takes(kind)
    of = {id(double.original): double.copy for double in doubles}
    groups = []
    for group in original.param_groups:
        held = [of[id(parameter)] for parameter in group["params"] if id(parameter) in of]
        settings = {key: copy.deepcopy(group[key]) for key in takes if key in group}
        if not decay and DECAY in settings:
            settings[DECAY] = 0.0
        if held:
            groups.append({"params": held, **settings})
    known, memo = {**vars(original), **original.defaults}, dict[int, Any](of)
    arguments = {key: copy.deepcopy(known[key], memo) for key in takes if _is_plain(known.get(key))}
    if not decay and DECAY in arguments:
        arguments[DECAY] = 0.0
    inner = next(
        (i for name in INNER if isinstance(i := vars(original).get(name), Optimizer)), None
    )
    first: Any = groups if inner is None else built_anew(inner, doubles, decay=decay)
    missing = [key for key, needed in takes.items() if needed and key not in arguments]
    if missing:
        raise UnexplainedError(f"the constructor of {kind.__name__} needs {', '.join(missing)}")
    new: Optimizer = kind(first, **arguments)
    _train_like(original, new)
    return new


def hand_over_state(new: Optimizer, old: Optimizer, *, decay: bool) -> None:
    """Gives ``new`` what ``old`` has gathered; ``decay`` is whether its weight decay as well.

    That is its state, what its groups hold, and attributes that hold tensors.
    """
    for one, other in zip(with_inner(new), with_inner(old), strict=True):
        if "state" in vars(other):
            one.state = other.state
        for group, held in zip(one.param_groups, other.param_groups, strict=True):
            gathered = {key: value for key, value in held.items() if decay or key != DECAY}
            group.update(gathered)
        for name, value in vars(other).items():
            gathers = isinstance(value, torch.Generator) or _has_tensors(value)
            if gathers and name not in ("state", "param_groups", "defaults", *INNER):
                vars(one)[name] = value


def turn_decay_off(optimizer: Optimizer) -> None:
    """Sets its weight decay to 0 wherever it is kept under that name."""
    for each in with_inner(optimizer):
        for group in each.param_groups:
            if DECAY in group:
                group[DECAY] = 0.0
        if isinstance(vars(each).get(DECAY), float | int):
            vars(each)[DECAY] = 0.0


def has_decay(optimizer: Optimizer, parameter: Tensor) -> bool:
    """Whether there is weight decay to switch off for ``parameter``."""
    groups = [group for each in with_inner(optimizer) for group in each.param_groups]
    in_groups = [g.get(DECAY) for g in groups if any(p is parameter for p in g["params"])]
    of_its_own = [vars(each).get(DECAY) for each in with_inner(optimizer)]
    return any(
        isinstance(value, float | int | Tensor) and bool(value != 0)
        for value in (*in_groups, *of_its_own)
    )


def clear_state(optimizer: Optimizer, parameter: Tensor, where: Tensor | None) -> None:
    """Puts zeros into what the optimizer keeps for ``parameter``, where ``where`` is true."""
    for each in with_inner(optimizer):
        for value in (each.state.get(parameter) or {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                value.zero_() if where is None else value.masked_fill_(_like(where, value), 0)


def _like(where: Tensor, value: Tensor) -> Tensor:
    return where.reshape(-1, *[1] * (value.dim() - 1)) if where.dim() == 1 else where


def with_inner(optimizer: Optimizer) -> Iterator[Optimizer]:
    """The optimizer and those that it wraps."""
    yield optimizer
    for name in INNER:
        inner = vars(optimizer).get(name)
        if isinstance(inner, Optimizer):
            yield from with_inner(inner)


def _parameters(optimizer: Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _of_state(value: Any, double: Double, memo: dict[int, Any]) -> Any:
    return double.cut(value) if isinstance(value, Tensor) else copy.deepcopy(value, memo)


def _copied(original: Optimizer, memo: dict[int, Any]) -> Optimizer:
    new: Optimizer = object.__new__(type(original))
    memo[id(original)] = new
    for name, value in vars(original).items():
        if _is_patch(original, name):
            continue
        if name.endswith("_hooks"):
            vars(new)[name] = type(value)()
        elif isinstance(value, Optimizer):
            vars(new)[name] = memo.get(id(value)) or _copied(value, memo)
        else:
            vars(new)[name] = copy.deepcopy(value, memo)
    if "state" in vars(new):
        new.state.pop(_ABSENT, None)
    for group in vars(new).get("param_groups", ()):
        group["params"] = [held for held in group["params"] if held is not _ABSENT]
    if "param_groups" in vars(new):
        new.param_groups = [group for group in new.param_groups if group["params"]]
    return new


def refuse_what_acts_on_the_original(optimizer: Optimizer) -> None:
    """Raises UnexplainedError where a copy would keep a function that acts on the real tensors."""
    for each in with_inner(optimizer):
        for name, value in vars(each).items():
            if not _is_patch(each, name) and any(map(_is_acted_on, _within(value))):
                raise UnexplainedError(f"a rehearsal would act on what its {name} refers to")


def _is_patch(optimizer: Optimizer, name: str) -> bool:
    """Whether a function was put over the class's own, as schedulers do with ``step``.

    It acts on that very optimizer: a copy goes by the class's.
    """
    return callable(vars(optimizer)[name]) and hasattr(type(optimizer), name)


def _within(value: Any) -> Iterator[Any]:
    """What a function refers to: what it closes over, its globals, what it was bound to."""
    if isinstance(value, partial):
        yield from (*_within(value.func), *value.args, *value.keywords.values())
    elif isinstance(value, FunctionType):
        used = inspect.getclosurevars(value)
        yield from (*used.nonlocals.values(), *used.globals.values())


def _is_acted_on(value: Any) -> bool:
    return isinstance(value, Tensor | nn.Module | Optimizer)


def _takes(kind: type) -> dict[str, bool]:
    """What a class's constructor takes after its first argument, and whether it needs it.

    Where it passes keywords on, what its parent takes as well.
    """
    found: dict[str, bool] = {}
    for each in kind.__mro__:
        if "__init__" not in vars(each):
            continue
        listed = list(inspect.signature(each.__init__).parameters.values())[2:]  # type: ignore[misc]
        kinds = inspect.Parameter
        for one in listed:
            if one.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL):
                found.setdefault(one.name, one.default is kinds.empty)
        if all(one.kind is not kinds.VAR_KEYWORD for one in listed):
            break
    return found


def _is_plain(value: Any) -> bool:
    """Whether a constructor may be given it: no tensors of many elements, no parameters."""
    return value is not None and not _has_tensors(value, most=1)


def _has_tensors(value: Any, *, most: int = 0, depth: int = 0) -> bool:
    if isinstance(value, Tensor):
        return value.numel() > most or isinstance(value, nn.Parameter)
    if depth == _DEEPEST:
        return False
    if isinstance(value, Mapping):
        return any(_has_tensors(v, most=most, depth=depth + 1) for kv in value.items() for v in kv)
    if isinstance(value, list | tuple | set | frozenset):
        return any(_has_tensors(v, most=most, depth=depth + 1) for v in value)
    return False


def _train_like(original: Optimizer, new: Optimizer) -> None:
    """Puts a schedule-free optimizer into the mode for training if the original is in it."""
    train = getattr(new, "train", None)
    modes = [group.get("train_mode") for group in original.param_groups]
    if callable(train) and (any(modes) or getattr(original, "train_mode", False)):
        train()
