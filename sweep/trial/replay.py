"""One step of a trial, lived through again from the same bits with sources switched off.

A trial is deterministic, so the moment before a step is reached by training up to it once
more: nothing of an optimizer has to be copied, wherever it keeps its state. Only to clear
that state is an optimizer built anew, over parameters whose bits are put back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

import torch
from torch import Tensor, nn

from sweep.trial.probe import change_between
from sweep.trial.training import Start, Training
from sweep.values import schedule
from sweep.values.setting import PlannedTrial
from sweep.values.words import GradState
from sweep.workloads.seeding import generators_now

Parameters = dict[str, Tensor]
"""Copies of a model's parameters, by name."""


class Grad(Enum):
    """What the frozen parameters' grads are made before the replayed step."""

    AS_IT_WAS = auto()
    PRESENT = auto()  # as it was, but zeros where it was None
    ZERO = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Sources:
    """Which sources of movement a replayed step has.

    Attributes:
        grad: what is done to the frozen parameters' grads.
        history: the optimizer keeps its state; else it is built anew.
        decay: weight decay stays as it is; else it is 0.
    """

    grad: Grad
    history: bool
    decay: bool


@dataclass(frozen=True, slots=True)
class MetGrad:
    """What the optimizer found in the frozen parameters' grads.

    ``stale`` is whether they were left there by an earlier step, bit for bit.
    """

    state: GradState
    stale: bool


AS_IT_WAS = Sources(grad=Grad.AS_IT_WAS, history=True, decay=True)
NO_GRAD = replace(AS_IT_WAS, grad=Grad.NONE)
ZERO_GRAD = replace(AS_IT_WAS, grad=Grad.ZERO)
NOTHING = Sources(grad=Grad.ZERO, history=False, decay=False)
HISTORY_ALONE = replace(NOTHING, history=True)
DECAY_ALONE = replace(NOTHING, decay=True)
GRADIENT_ALONE = replace(NOTHING, grad=Grad.PRESENT)


class Replay:
    """The steps of one trial, each as often as asked, with the sources asked for.

    Each distinct replay is run once and remembered.
    """

    def __init__(self, planned: PlannedTrial, start: Start = Training) -> None:
        """Runs nothing yet; ``start`` begins each training of the trial, or of one like it."""
        self.planned = planned
        self._start = start
        self._moments: dict[int, _Moment] = {}
        self._after: dict[tuple[int, Sources], Parameters] = {}
        self._rebuildable: dict[bool, Training] = {}  # by whether they have weight decay
        self._switches_decay_off: dict[int, bool] = {}

    @property
    def has_decay(self) -> bool:
        """Whether the setting has any weight decay to switch off."""
        return bool(self.planned.setting.weight_decay)

    def before(self, step: int) -> Parameters:
        """Every parameter just before ``step``."""
        return self._moment(step).parameters

    def after(self, step: int, sources: Sources) -> Parameters:
        """Every parameter just after ``step``, run with ``sources``.

        Raises whatever the optimizer raises, as in the trial itself.
        """
        if not self.has_decay:
            sources = replace(sources, decay=True)  # one replay where both would be the same
        key = (step, sources)
        if key not in self._after:
            self._after[key] = self._run(step, sources)
        return self._after[key]

    def at(self, step: int) -> Training:
        """A training just before ``step``, with the history it has by then; the caller's own."""
        training = self._start(self.planned)
        training.advance_to(step)
        if step not in self._moments:
            self._moments[step] = _Moment.of(training.workload.model)
        return training

    def keep(self, step: int, sources: Sources, training: Training) -> None:
        """Remembers what ``training`` came to, which ran ``step`` with ``sources`` elsewhere."""
        self._after.setdefault((step, sources), _copies(training.workload.model))

    def after_attached(self, step: int) -> Parameters:
        """Every parameter just after ``step``, had the schedule not frozen it."""
        training = self.at(step)
        training.schedule = schedule.parse("never")
        return _run(training, step, Grad.AS_IT_WAS)

    def met_grad(self, step: int) -> MetGrad:
        """What the optimizer found in the frozen parameters' grads on ``step``."""
        training = self.at(step)
        found: list[dict[str, Tensor | None]] = []
        frozen = training.frozen_parameters
        training.interfere = lambda: found.append({n: _cloned(p.grad) for n, p in frozen.items()})
        training.run(step)
        left = self._moment(step).grads
        stale = all(_same_grad(left[name], grad) for name, grad in found[-1].items())
        return MetGrad(training.grad, stale)

    def decay_switches_off(self, step: int) -> bool:
        """Whether weight decay can be switched off in an optimizer that keeps its state.

        Tried, not assumed: a new optimizer whose decay is switched off must do on ``step``,
        bit for bit, what one that was built without decay does. An optimizer that keeps its
        decay out of the parameter groups fails this.
        """
        if not self.has_decay:
            return True
        if step not in self._switches_decay_off:
            training = self._anew_at(step, decay=True)
            _switch_decay_off(training)
            switched = _run(training, step, Grad.ZERO)
            built = self.after(step, NOTHING)
            self._switches_decay_off[step] = all(
                not change_between(switched[name], built[name]).moved for name in built
            )
        return self._switches_decay_off[step]

    def _run(self, step: int, sources: Sources) -> Parameters:
        if not sources.history:
            return _run(self._anew_at(step, decay=sources.decay), step, sources.grad)
        training = self.at(step)
        if not sources.decay:
            _switch_decay_off(training)
        after = _run(training, step, sources.grad)
        self._rebuildable.setdefault(True, training)
        return after

    def _moment(self, step: int) -> _Moment:
        if step not in self._moments:
            self.after(step, AS_IT_WAS)  # most callers ask for it next
        return self._moments[step]

    def _anew_at(self, step: int, *, decay: bool) -> Training:
        """The training just before ``step``, its optimizer built anew with or without decay.

        One training serves every replay of a kind: its bits are put back each time.
        """
        moment = self._moment(step)
        if decay not in self._rebuildable:
            planned = self.planned if decay else _without_decay(self.planned)
            self._rebuildable[decay] = self._start(planned)
        training = self._rebuildable[decay]
        moment.restore(training.workload.model)
        training.build_optimizers()  # it may look at the parameters, and draw at random
        moment.put_back_generators()
        return training


def _run(training: Training, step: int, grad: Grad) -> Parameters:
    training.interfere = _interference(training, grad)
    training.run(step)
    return _copies(training.workload.model)


def _interference(training: Training, grad: Grad) -> Callable[[], None]:
    """What to do between backward and step, so that the frozen grads are as ``grad`` says."""
    frozen = training.frozen_parameters.values()

    def drop() -> None:
        for parameter in frozen:
            parameter.grad = None

    def zero() -> None:
        for parameter in frozen:
            like = parameter if parameter.grad is None else parameter.grad
            parameter.grad = torch.zeros_like(like)

    def fill() -> None:
        for parameter in frozen:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    interferences = {Grad.NONE: drop, Grad.ZERO: zero, Grad.PRESENT: fill}
    return interferences.get(grad, lambda: None)


def _switch_decay_off(training: Training) -> None:
    """Sets the weight decay in force in every parameter group, where there is one, to 0."""
    key = training.entry.decay_key
    for optimizer in (training.main, training.own):
        for group in optimizer.param_groups if optimizer is not None else ():
            if key in group:
                group[key] = 0.0


def _without_decay(planned: PlannedTrial) -> PlannedTrial:
    return replace(planned, setting=replace(planned.setting, weight_decay=0.0))


def _copies(model: nn.Module) -> Parameters:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@dataclass(frozen=True, slots=True)
class _Moment:
    """A model's parameters, buffers and grads, and the generators, to go back to."""

    parameters: Parameters
    buffers: Parameters
    grads: dict[str, Tensor | None]
    put_back_generators: Callable[[], None]

    @classmethod
    def of(cls, model: nn.Module) -> _Moment:
        return cls(
            parameters=_copies(model),
            buffers={name: buffer.detach().clone() for name, buffer in model.named_buffers()},
            grads={name: _cloned(p.grad) for name, p in model.named_parameters()},
            put_back_generators=generators_now(),
        )

    def restore(self, model: nn.Module) -> None:
        """Puts the tensors back into ``model``, which has the same names."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(self.parameters[name])
                parameter.grad = _cloned(self.grads[name])
            for name, buffer in model.named_buffers():
                buffer.copy_(self.buffers[name])


def _cloned(grad: Tensor | None) -> Tensor | None:
    return None if grad is None else grad.detach().clone()


def _same_grad(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one, other)
