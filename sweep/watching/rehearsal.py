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
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sweep.trial.causes import attribute, difference
from sweep.trial.probe import bits, change_between
from sweep.trial.replay import AS_IT_WAS, NOTHING, Grad, Parameters, Sources
from sweep.values.outcome import Causes
from sweep.watching.grads import zeroed
from sweep.workloads.seeding import generators_now

DECAY = "weight_decay"
_NOT_COPIED = frozenset({"state", "param_groups", "step"})  # `step`: schedulers patch it
_STEP = 0  # a rehearsal has one step only
_NAME = "parameter"
_FROZEN = frozenset({_NAME})
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
    before, after = rehearsal.before(_STEP), rehearsal.after(_STEP, AS_IT_WAS)
    ending = digest(after[_NAME])
    if not difference(before, after, _FROZEN).moved:
        return Rehearsed(None, ending)
    if not rehearsal.can_build_anew():
        return None
    return Rehearsed(attribute(rehearsal, _STEP, _FROZEN), ending)


class Rehearsal:
    """The step of a scene, as often as asked, with the sources asked for.

    It is a `sweep.trial.causes.Replayable` of one step. Each distinct run is made once.
    """

    def __init__(self, scene: Scene, put_back_generators: Any) -> None:
        self._scene = scene
        self._put_back_generators = put_back_generators
        self._group = _group_of(scene.optimizer, scene.parameter)
        self._after: dict[Sources, Parameters] = {}

    @property
    def has_decay(self) -> bool:
        """Whether the parameter's group has any weight decay to switch off."""
        return bool(self._group.get(DECAY))

    def before(self, step: int) -> Parameters:
        """The parameter, or the rows in question, before the step."""
        return {_NAME: self._rows_of(self._scene.parameter.detach())}

    def after(self, step: int, sources: Sources) -> Parameters:
        """The same after the step, run with ``sources``. Raises what the optimizer raises."""
        if not self.has_decay:
            sources = replace(sources, decay=True)  # one run where both would be the same
        if sources not in self._after:
            self._after[sources] = self._run(sources)
        return self._after[sources]

    def decay_switches_off(self, step: int) -> bool:
        """Whether an optimizer whose decay is switched off does what one built without it does."""
        if not self.has_decay:
            return True
        parameter = self._copy(Grad.ZERO)
        optimizer = self._anew(parameter, decay=True)
        _switch_decay_off(optimizer)
        return self._same(self._stepped(optimizer, parameter), self.after(step, NOTHING))

    def can_build_anew(self) -> bool:
        """Whether an optimizer built anew and given the old one's state takes the same step."""
        parameter = self._copy(Grad.AS_IT_WAS)
        old, new = self._kept(parameter), self._anew(parameter, decay=True)
        new.state = old.state
        new.param_groups[0].update(old.param_groups[0])
        return self._same(self._stepped(new, parameter), self.after(_STEP, AS_IT_WAS))

    def _run(self, sources: Sources) -> Parameters:
        parameter = self._copy(sources.grad)
        if not sources.history:
            return self._stepped(self._anew(parameter, decay=sources.decay), parameter)
        optimizer = self._kept(parameter)
        if not sources.decay:
            _switch_decay_off(optimizer)
        return self._stepped(optimizer, parameter)

    def _copy(self, grad: Grad) -> nn.Parameter:
        """The parameter with its attributes, and with its grad made what ``grad`` says."""
        original = self._scene.parameter
        parameter = nn.Parameter(original.detach().clone(), original.requires_grad)
        vars(parameter).update(vars(original))
        found = original.grad
        if grad is Grad.NONE or (grad is Grad.AS_IT_WAS and found is None):
            return parameter
        if found is None:
            parameter.grad = torch.zeros_like(parameter)
        else:
            found = found.detach()
            parameter.grad = zeroed(found, self._scene.rows) if grad is Grad.ZERO else found.clone()
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
