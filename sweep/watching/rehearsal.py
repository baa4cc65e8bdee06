"""One parameter's step, run on copies before it happens, with sources switched off.

A user's loop cannot be trained again from the start, and once a step is done the state
before it is gone. So a step that may leak is rehearsed: on a copy of the parameter, of its
grad, and of what the optimizer keeps for it, with the optimizer's own code. Nothing is
concluded from a rehearsal unless the real step then gives the very same bits.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sweep.trial.causes import Parameters, Sources, UnexplainedError, difference, movements
from sweep.trial.probe import bits, change_between
from sweep.trial.replay import NO_SWITCH, NOTHING_OFF
from sweep.values.outcome import Causes
from sweep.values.words import Source
from sweep.watching.grads import has_nonzero, zeroed
from sweep.workloads.seeding import generators_now

DECAY = "weight_decay"
_NOT_COPIED = frozenset({"state", "param_groups", "step"})  # `step`: schedulers patch it
_NAME = "parameter"
_NO_GRAD = frozenset({"no grad"})
_ABSENT = nn.Parameter(torch.empty(0, device="meta"))
"""Stands for every other parameter, which an optimizer may hold in attributes of its own: it has
no values, so that a rehearsal which needs them fails, and none can change them."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a rehearsal showed.

    Attributes:
        causes: what moved the parameter; None if it kept still.
        digest: of the bits it ended with.
    """

    causes: Causes | None
    digest: bytes


@dataclass(frozen=True, slots=True)
class Scene:
    """The step about to happen.

    Attributes:
        optimizer: whose step it is.
        parameter: the parameter in question.
        rows: which of its rows, boolean of shape ``(rows,)``; None for the whole.
        arguments, keywords: what ``step`` was called with.
    """

    optimizer: Optimizer
    parameter: Tensor
    rows: Tensor | None
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] | None = None


def rehearse(scene: Scene) -> Rehearsed | None:
    """What the step will do to the parameter, and why; None where it cannot be rehearsed.

    Changes nothing: neither parameters nor state nor generators.
    """
    put_back = generators_now()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the real step gives its own
            return _rehearsed(Rehearsal(scene, put_back))
    except Exception:  # noqa: BLE001  # an optimizer may refuse in any way; then nothing is known
        return None
    finally:
        put_back()


def digest(tensor: Tensor) -> bytes:
    """A hash of the tensor's bits."""
    content = bits(tensor.detach().contiguous()).cpu().numpy().tobytes()
    return hashlib.blake2b(content, digest_size=16).digest()


def _rehearsed(rehearsal: Rehearsal) -> Rehearsed | None:
    before, after = rehearsal.before(), rehearsal.without(NOTHING_OFF)
    ending = digest(after[_NAME])
    if not difference(before, after).moved:
        return Rehearsed(None, ending)
    if not rehearsal.can_build_anew():
        return None
    return Rehearsed(movements(rehearsal).causes, ending)


class Rehearsal:
    """The step of a scene, as often as asked, without the sources asked for.

    It is a `sweep.trial.causes.Replayable`. Each distinct run is made once.
    """

    def __init__(self, scene: Scene, put_back_generators: Any) -> None:
        self._scene = scene
        self._put_back_generators = put_back_generators
        self._group = _group_of(scene.optimizer, scene.parameter)
        self._after: dict[frozenset[str], Parameters] = {}

    def there(self) -> Sources:
        """The sources that the step has."""
        found = {Source.HISTORY}
        if has_nonzero(self._scene.parameter.grad, self._scene.rows):
            found.add(Source.GRADIENT)
        if self._group.get(DECAY):
            found.add(Source.DECAY)
        return frozenset(found)

    def before(self) -> Parameters:
        """The parameter, or the rows in question, before the step."""
        return {_NAME: self._rows_of(self._scene.parameter.detach())}

    def without(self, off: Sources) -> Parameters:
        """The same after the step, run without the sources ``off``."""
        if Source.DECAY in off and Source.HISTORY not in off and not self._decay_switches_off():
            raise UnexplainedError(NO_SWITCH)
        if off not in self._after:
            self._after[off] = self._run(off)
        return self._after[off]

    def without_grad(self) -> Parameters:
        """The same after the step, run as it is but with the grad set to None."""
        if _NO_GRAD not in self._after:
            parameter = self._copy(NOTHING_OFF)
            parameter.grad = None
            self._after[_NO_GRAD] = self._stepped(self._kept(parameter), parameter)
        return self._after[_NO_GRAD]

    def _decay_switches_off(self) -> bool:
        """Whether an optimizer whose decay is switched off does what one built without it does.

        Of no use, and so no, where decay does nothing in a new optimizer.
        """
        without = self.without(self.there())
        if self._same(self.without(self.there() - {Source.DECAY}), without):
            return False
        parameter = self._copy(self.there())
        optimizer = self._anew(parameter, decay=True)
        _switch_decay_off(optimizer)
        return self._same(self._stepped(optimizer, parameter), without)

    def can_build_anew(self) -> bool:
        """Whether an optimizer built anew and given the old one's state takes the same step."""
        parameter = self._copy(NOTHING_OFF)
        old, new = self._kept(parameter), self._anew(parameter, decay=True)
        new.state = old.state
        new.param_groups[0].update(old.param_groups[0])
        return self._same(self._stepped(new, parameter), self.without(NOTHING_OFF))

    def _run(self, off: Sources) -> Parameters:
        parameter = self._copy(off)
        if Source.HISTORY in off:
            return self._stepped(self._anew(parameter, decay=Source.DECAY not in off), parameter)
        optimizer = self._kept(parameter)
        if Source.DECAY in off:
            _switch_decay_off(optimizer)
        return self._stepped(optimizer, parameter)

    def _copy(self, off: Sources) -> nn.Parameter:
        """The parameter with its attributes; its grad is zeros if the gradient is ``off``."""
        original = self._scene.parameter
        parameter = nn.Parameter(original.detach().clone(), original.requires_grad)
        vars(parameter).update(vars(original))
        if original.grad is not None:
            found = original.grad.detach()
            is_off = Source.GRADIENT in off
            parameter.grad = zeroed(found, self._scene.rows) if is_off else found.clone()
        return parameter

    def _kept(self, parameter: nn.Parameter) -> Optimizer:
        """A copy of the optimizer with the state it has, for ``parameter`` alone."""
        original, of = self._scene.optimizer, self._scene.parameter
        memo: dict[int, Any] = {
            id(other): _ABSENT for group in original.param_groups for other in group["params"]
        }
        memo |= {id(of): parameter, id(original): None}
        optimizer: Optimizer = object.__new__(type(original))
        for name, value in vars(original).items():
            if name not in _NOT_COPIED:
                hooks = name.endswith("_hooks")
                setattr(optimizer, name, type(value)() if hooks else copy.deepcopy(value, memo))
        optimizer.state = defaultdict(dict)
        for key, value in original.state.items():
            if key is of or not isinstance(key, Tensor):
                own = parameter if key is of else key
                optimizer.state[own] = copy.deepcopy(value, memo)
        group = {key: copy.deepcopy(v, memo) for key, v in self._group.items() if key != "params"}
        optimizer.param_groups = [{"params": [parameter], **group}]
        return optimizer

    def _anew(self, parameter: nn.Parameter, *, decay: bool) -> Optimizer:
        """A new optimizer of the same class and hyperparameters, without any state."""
        kind = type(self._scene.optimizer)
        known = {**self._scene.optimizer.defaults, **self._group}
        takes = list(inspect.signature(kind).parameters)[1:]
        arguments = {name: copy.deepcopy(known[name]) for name in takes if name in known}
        if not decay:
            arguments[DECAY] = 0.0
        optimizer: Optimizer = kind([parameter], **arguments)
        return optimizer

    def _stepped(self, optimizer: Optimizer, parameter: nn.Parameter) -> Parameters:
        self._put_back_generators()
        step: Any = type(optimizer).step
        if getattr(step, "hooked", False):
            step = step.__wrapped__  # past the hooks for every optimizer, which may be anybody's
        step(optimizer, *self._scene.arguments, **(self._scene.keywords or {}))
        return {_NAME: self._rows_of(parameter.detach())}

    def _rows_of(self, tensor: Tensor) -> Tensor:
        return tensor if self._scene.rows is None else tensor[self._scene.rows]

    def _same(self, one: Parameters, other: Parameters) -> bool:
        return not change_between(one[_NAME], other[_NAME]).moved


def _group_of(optimizer: Optimizer, parameter: Tensor) -> dict[str, Any]:
    for group in optimizer.param_groups:
        if any(parameter is held for held in group["params"]):
            return group
    raise LookupError("the parameter is in none of the optimizer's groups")


def _switch_decay_off(optimizer: Optimizer) -> None:
    for group in optimizer.param_groups:
        if DECAY in group:
            group[DECAY] = 0.0
