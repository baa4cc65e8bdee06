"""Copies of an optimizer that can take a step in its place: as it is, or built anew.

A copy holds only the parameters that it is given, as copies too. Nothing of an optimizer is
assumed: whether it can be built anew is tried (`sweep.watching.rehearsal`).
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
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
from sweep.watching.parts import parts

DECAY = "weight_decay"
_ABSENT = nn.Parameter(torch.empty(0, device="meta"))
"""Stands for every other parameter, which an optimizer may hold in attributes of its own: it has
no values, so that a rehearsal which needs them fails, and none can change them."""

_DEEPEST = 4
"""Levels of dicts and lists that are searched for tensors."""


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """A parameter that takes part in a step, or some of it.

    Attributes:
        parameter: the tensor itself.
        where: which of it is in question, boolean of shape ``(rows,)`` or its own; None for all.
        rows: the numbers of the rows that take part; None for all.
    """

    parameter: Tensor
    where: Tensor | None = None
    rows: Tensor | None = None

    def part(self, tensor: Tensor) -> Tensor:
        """What is in question of a tensor of the parameter's shape, of those rows."""
        local = _local(tensor)
        return self.part_of_rows(local if self.rows is None else local[self.rows])

    def part_of_rows(self, tensor: Tensor) -> Tensor:
        """The same of a tensor that has those rows alone."""
        where = self.where_in_rows
        return tensor if where is None else tensor[where]

    @property
    def where_in_rows(self) -> Tensor | None:
        """``where``, of those rows alone."""
        if self.where is None or self.rows is None:
            return self.where
        return self.where[self.rows]

    def cut(self, tensor: Tensor) -> Tensor:
        """A copy of what a process holds of ``tensor``, of those rows if it has the same shape."""
        local = _local(tensor)
        same = local.shape == _local(self.parameter).shape
        return local[self.rows] if self.rows is not None and same else _clone(local)


Doubles = Mapping[Wanted, nn.Parameter]
"""The copies that stand in for parameters."""


def double_of(wanted: Wanted, *, gradient: bool) -> nn.Parameter:
    """A copy of the parameter with its attributes, and its ``gradient`` or else zeros."""
    original = wanted.parameter
    made = nn.Parameter(wanted.cut(original), original.requires_grad)
    own = {k: v for k, v in vars(original).items() if not isinstance(v, Tensor) and k != "_spec"}
    vars(made).update(own)  # some optimizers read what others wrote there
    if original.grad is not None:
        grad = wanted.cut(original.grad)
        made.grad = grad if gradient else _zeroed(grad, wanted.where_in_rows)
    return made


def stand_in(original: Optimizer, doubles: Doubles) -> Optimizer:
    """A copy with the state it has, for the doubles alone. Raises what cannot be copied."""
    memo: dict[int, Any] = {}
    for optimizer in with_inner(original):
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            memo[id(parameter)] = _ABSENT
            memo[id(optimizer.state.get(parameter))] = {}
    memo[id(None)] = None
    memo |= {id(wanted.parameter): double for wanted, double in doubles.items()}
    for wanted in doubles:
        for optimizer in with_inner(original):
            state = optimizer.state.get(wanted.parameter)
            if isinstance(state, Mapping):
                memo[id(state)] = {
                    key: wanted.cut(v) if isinstance(v, Tensor) else copy.deepcopy(v, memo)
                    for key, v in state.items()
                }
    return _copied(original, memo)


def built_anew(original: Optimizer, doubles: Doubles, *, decay: bool) -> Optimizer:
    """A new one of the same class and hyperparameters, without any state.

    ``decay`` is whether it has the weight decay of the old one, or none. Raises
    UnexplainedError where its constructor needs what is not known.
    """
    kind, of = type(original), {id(each.parameter): double for each, double in doubles.items()}
    takes = _takes(kind)

    def as_wanted(settings: dict[str, Any]) -> dict[str, Any]:
        return settings if decay or DECAY not in settings else settings | {DECAY: 0.0}

    known, memo = {**vars(original), **original.defaults}, dict[int, Any](of)
    plain = {
        key: known[key]
        for key in takes
        if known.get(key) is not None and not _has_tensors(known[key], most=1)
    }
    arguments = as_wanted({key: copy.deepcopy(value, memo) for key, value in plain.items()})
    missing = [key for key, needed in takes.items() if needed and key not in arguments]
    if missing:
        raise UnexplainedError(f"the constructor of {kind.__name__} needs {', '.join(missing)}")
    first: Any = [
        {"params": held} | as_wanted({k: copy.deepcopy(group[k]) for k in takes if k in group})
        for group in original.param_groups
        if (held := [of[id(p)] for p in group["params"] if id(p) in of])
    ]
    for inner in list(with_inner(original))[1:2]:
        first = built_anew(inner, doubles, decay=decay)
    new: Optimizer = kind(first, **arguments)
    modes = [group.get("train_mode") for group in original.param_groups]
    train = getattr(new, "train", None)
    if callable(train) and (any(modes) or getattr(original, "train_mode", False)):
        train()  # a schedule-free one has a mode for training
    return new


def hand_over_state(new: Optimizer, old: Optimizer, *, decay: bool) -> None:
    """Gives ``new`` what ``old`` has gathered; ``decay`` is whether its weight decay as well.

    That is its state, what its groups hold, and attributes that hold tensors.
    """
    for one, other in zip(with_inner(new), with_inner(old), strict=True):
        if "state" in vars(other):
            one.state = other.state
        for group, held in zip(one.param_groups, other.param_groups, strict=True):
            group.update({key: value for key, value in held.items() if decay or key != DECAY})
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
    for each in with_inner(optimizer):
        holding = [g for g in each.param_groups if any(p is parameter for p in g["params"])]
        for value in [vars(each).get(DECAY), *(group.get(DECAY) for group in holding)]:
            if isinstance(value, float | int | Tensor) and bool(value != 0):
                return True
    return False


def clear_state(optimizer: Optimizer, parameter: Tensor, where: Tensor | None) -> None:
    """Puts zeros into what the optimizer keeps for ``parameter``, where ``where`` is true."""
    for each in with_inner(optimizer):
        for value in (each.state.get(parameter) or {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                if where is None:
                    value.zero_()
                else:
                    value[where] = 0


def with_inner(optimizer: Optimizer) -> Iterator[Optimizer]:
    """The optimizer and those that it wraps."""
    yield optimizer
    for name in INNER:
        inner = vars(optimizer).get(name)
        if isinstance(inner, Optimizer):
            yield from with_inner(inner)


def refuse_what_acts_on_the_original(optimizer: Optimizer) -> None:
    """Raises UnexplainedError where a copy would keep a function that acts on the real tensors."""
    acting = Tensor | nn.Module | Optimizer
    for each in with_inner(optimizer):
        for name, value in vars(each).items():
            if not _is_patch(each, name) and any(isinstance(v, acting) for v in _within(value)):
                raise UnexplainedError(f"a rehearsal would act on what its {name} refers to")


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
    if "param_groups" in vars(new):
        for group in new.param_groups:
            group["params"] = [held for held in group["params"] if held is not _ABSENT]
        new.param_groups = [group for group in new.param_groups if group["params"]]
    return new


def _local(tensor: Tensor) -> Tensor:
    """The local shard of a DTensor, so that no copy asks another process; else the tensor."""
    return getattr(tensor, "_local_tensor", tensor).detach()


def _zeroed(grad: Tensor, where: Tensor | None) -> Tensor:
    """A copy of ``grad`` with zeros everywhere, or only where ``where`` is true."""
    if where is None:
        return torch.zeros_like(grad)
    if grad.layout is not torch.sparse_coo:
        return grad.detach().index_put((where,), grad.new_zeros(()))
    indices, values = parts(grad)
    values = values.index_put((where[indices[0]],), values.new_zeros(()))
    return torch.sparse_coo_tensor(indices, values, grad.shape, is_coalesced=True)


def _clone(tensor: Tensor) -> Tensor:
    """A copy, of its parts where it keeps its values in others and may not know how to copy."""
    if not is_traceable_wrapper_subclass(tensor):
        return tensor.clone()
    names, context = tensor.__tensor_flatten__()
    held = {name: _clone(getattr(tensor, name)) for name in names}
    found: Tensor = type(tensor).__tensor_unflatten__(held, context, tensor.shape, tensor.stride())
    return found


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


def _takes(kind: type) -> dict[str, bool]:
    """What a class's constructor takes after its first argument, and whether it needs it.

    Where it passes keywords on, what its parent takes as well.
    """
    found: dict[str, bool] = {}
    kinds = inspect.Parameter
    for each in (each for each in kind.__mro__ if "__init__" in vars(each)):
        listed = list(inspect.signature(each.__init__).parameters.values())[2:]  # type: ignore[misc]
        for one in listed:
            if one.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL):
                found.setdefault(one.name, one.default is kinds.empty)
        if all(one.kind is not kinds.VAR_KEYWORD for one in listed):
            break
    return found


def _has_tensors(value: Any, *, most: int = 0, depth: int = 0) -> bool:
    """Whether there are parameters, or tensors of more than ``most`` elements, in it."""
    if isinstance(value, Tensor):
        return value.numel() > most or isinstance(value, nn.Parameter)
    if isinstance(value, Mapping):
        value = (*value.keys(), *value.values())
    if depth == _DEEPEST or not isinstance(value, list | tuple | set | frozenset):
        return False
    return any(_has_tensors(each, most=most, depth=depth + 1) for each in value)
