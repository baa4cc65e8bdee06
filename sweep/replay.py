"""One step of a trial, lived through again from the same bits with sources switched off.

A trial is deterministic, so the moment before a step is reached by training up to it once
more: nothing of an optimizer has to be copied, wherever it keeps its state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

import torch
from torch import Tensor, nn

from sweep.setting import PlannedTrial
from sweep.training import Training

Parameters = dict[str, Tensor]
"""Copies of a model's parameters, by name."""


class Grad(Enum):
    """What the frozen parameters' grads are made before the replayed step."""

    AS_IT_WAS = auto()
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


AS_IT_WAS = Sources(grad=Grad.AS_IT_WAS, history=True, decay=True)
NO_GRAD = Sources(grad=Grad.NONE, history=True, decay=True)
NOTHING = Sources(grad=Grad.ZERO, history=False, decay=False)
HISTORY_ALONE = replace(NOTHING, history=True)
DECAY_ALONE = replace(NOTHING, decay=True)
GRADIENT_ALONE = replace(NOTHING, grad=Grad.AS_IT_WAS)


class Replay:
    """The steps of one trial, each as often as asked, with the sources asked for.

    Each distinct replay is run once and remembered.
    """

    def __init__(self, planned: PlannedTrial, device: str = "cpu") -> None:
        """Runs nothing yet."""
        self.planned = planned
        self._device = device
        self._before: dict[int, Parameters] = {}
        self._after: dict[tuple[int, Sources], Parameters] = {}
        self._without_history: dict[int, tuple[Training, _Moment]] = {}

    def before(self, step: int) -> Parameters:
        """Every parameter just before ``step``."""
        if step not in self._before:
            self._without_history_at(step)
        return self._before[step]

    def after(self, step: int, sources: Sources) -> Parameters:
        """Every parameter just after ``step``, run with ``sources``.

        Raises whatever the optimizer raises, as in the trial itself.
        """
        key = (step, sources)
        if key not in self._after:
            training = self._at(step) if sources.history else self._without_history_at(step)
            if not sources.decay:
                _switch_decay_off(training)
            self._after[key] = _run(training, step, sources.grad)
        return self._after[key]

    def _at(self, step: int) -> Training:
        """The training just before ``step``, with the history it has by then."""
        training = Training(self.planned, self._device)
        for earlier in range(step):
            training.begin(earlier)
            training.backward()
            training.step()
            training.clear_grads()
        self._before.setdefault(step, _copies(training))
        return training

    def _without_history_at(self, step: int) -> Training:
        """The training just before ``step``, its optimizer built anew.

        One training serves every replay without history: its bits are put back each time.
        """
        if step not in self._without_history:
            training = self._at(step)
            self._without_history[step] = (training, _Moment.of(training.workload.model))
        training, moment = self._without_history[step]
        moment.restore()
        training.build_optimizers()
        return training


def _run(training: Training, step: int, grad: Grad) -> Parameters:
    frozen = training.frozen_parameters.values()

    def interfere() -> None:
        for parameter in frozen:
            if grad is Grad.NONE:
                parameter.grad = None
            elif parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            else:
                parameter.grad = torch.zeros_like(parameter.grad)

    if grad is not Grad.AS_IT_WAS:
        training.interfere = interfere
    training.begin(step)
    training.backward()
    training.step()
    training.interfere = lambda: None
    return _copies(training)


def _switch_decay_off(training: Training) -> None:
    """Sets the weight decay of every parameter group to 0."""
    for optimizer in (training.main, training.own):
        for group in optimizer.param_groups if optimizer is not None else ():
            if training.entry.weight_decay in group:
                group[training.entry.weight_decay] = 0.0


def _copies(training: Training) -> Parameters:
    model = training.workload.model
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@dataclass(frozen=True, slots=True)
class _Moment:
    """A model's parameters, buffers and grads, and the generator, to go back to."""

    tensors: tuple[tuple[Tensor, Tensor], ...]
    grads: tuple[tuple[nn.Parameter, Tensor | None], ...]
    generator: Tensor

    @classmethod
    def of(cls, model: nn.Module) -> _Moment:
        live = (*model.parameters(), *model.buffers())
        return cls(
            tensors=tuple((tensor, tensor.detach().clone()) for tensor in live),
            grads=tuple((p, _cloned(p.grad)) for p in model.parameters()),
            generator=torch.get_rng_state(),
        )

    def restore(self) -> None:
        with torch.no_grad():
            for tensor, copy in self.tensors:
                tensor.copy_(copy)
        for parameter, grad in self.grads:
            parameter.grad = _cloned(grad)
        torch.set_rng_state(self.generator)


def _cloned(grad: Tensor | None) -> Tensor | None:
    return None if grad is None else grad.detach().clone()
