"""One training run, a step at a time: the workload, its optimizer and its way of freezing.

`sweep.trial.trial` drives it from the first step to the last; `sweep.trial.causes` drives it to one
step and then interferes. It observes nothing: that is the probe's part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sweep.optimizers import registry
from sweep.optimizers.build import build_optimizer
from sweep.trial.freezing import WAYS, Grouping, attached_forward
from sweep.trial.moment import Moment
from sweep.values import schedule
from sweep.values.setting import PlannedTrial
from sweep.values.words import GradState, ZeroGrad
from sweep.workloads.built_in import build_workload
from sweep.workloads.seeding import seed_everything
from sweep.workloads.workload import Workload

BuildWorkload = Callable[[str, int, str], Workload]
"""What makes the workload of a name, a seed and a device, such as `build_workload`."""


class Training:
    """A training run of one setting.

    Each step is `begin`, `backward`, `step`, `clear_grads`, in that order. An optimizer
    that needs a closure runs forward and backward inside `step`, and `backward` does
    nothing.

    Attributes:
        workload: the model under training, with its data and loss.
        main: the optimizer. Under the way ``own_optimizer``, that of the other parameters.
        frozen_parameters: what the schedule freezes, by name.
        losses: the loss of each forward pass of the current step.
        grad: what the frozen parameters' grads were just before ``step()`` acted on them.
        interfere: called between backward and step on every step; nothing unless set.
    """

    def __init__(
        self,
        planned: PlannedTrial,
        at: Moment | None = None,
        device: str = "cpu",
        build: BuildWorkload = build_workload,
    ) -> None:
        """Seeds every generator, builds the workload with ``build``, then the optimizer.

        Where ``at`` is given, the optimizer is built for a model that has the bits of that
        moment, and the generators go on from there. Raises whatever the workload or the
        optimizer's constructor raises.
        """
        setting = planned.setting
        self.planned = planned
        self.entry = registry.lookup(setting.optimizer)
        self.schedule = schedule.parse(setting.schedule)
        self.workload = build(planned.workload, setting.seed, device)
        self.frozen_parameters = self.workload.frozen_parameters()
        self.other_parameters = self.workload.other_parameters()
        self.way = WAYS[setting.freeze]
        self.losses: list[float] = []
        self.grad = GradState.NONE
        self.interfere: Callable[[], None] = _nothing
        if at is not None:
            at.put_into(self.workload.model)
        seed_everything(setting.seed)
        self._build_optimizers()
        if at is not None:
            at.put_back_generators()

    def _build_optimizers(self) -> None:
        together, apart = [dict(self.workload.model.named_parameters())], []
        if self.way.grouping is Grouping.OWN_GROUP:
            together = [self.other_parameters, self.frozen_parameters]
        elif self.way.grouping is Grouping.OWN_OPTIMIZER:
            together, apart = [self.other_parameters], [self.frozen_parameters]
        self.main = self._build(together)
        self.own = self._build(apart) if apart else None

    def begin(self, step: int) -> None:
        """Starts a step: the way of freezing sets up what it needs."""
        self.current = step
        self.frozen = self.schedule.frozen(step)
        self.losses = []
        self.way.begin(self.frozen_parameters.values(), self.main, self.frozen)

    def backward(self) -> None:
        """Forward and backward, then whatever the way of freezing does to the grads."""
        if not self.entry.needs_closure:
            self._forward_backward()
        elif self.entry.backward_first:
            self._closure()

    def step(self) -> None:
        """``optimizer.step()``; the frozen layer's own optimizer steps on attached steps only."""
        stepping = [self.main] if self.own is None or self.frozen else [self.main, self.own]
        for optimizer in stepping:
            if self.entry.needs_closure:
                optimizer.step(self._closure)  # type: ignore[arg-type]  # torch's own closures return tensors
            else:
                optimizer.step()

    def clear_grads(self) -> None:
        """Clears the grads as the ``zero_grad`` axis says; a closure has done it already."""
        if not self.entry.needs_closure:
            self._zero_grad()

    def run(self, step: int) -> None:
        """One whole step but for clearing the grads after it."""
        self.begin(step)
        self.backward()
        self.step()

    def advance_to(self, step: int) -> None:
        """Trains from the start to just before ``step``."""
        for earlier in range(step):
            self.run(earlier)
            self.clear_grads()

    def is_finite(self) -> bool:
        """Whether every element of every parameter is a finite number."""
        return all(bool(p.isfinite().all()) for p in self.workload.model.parameters())

    def _build(self, groups: list[dict[str, nn.Parameter]]) -> Optimizer:
        optimizer = build_optimizer(
            self.entry,
            groups,
            self.workload.model,
            self.planned.setting,
            self.planned.constructor_options(),
            steps=self.planned.steps,
        )
        if self.entry.train_mode:
            optimizer.train()  # type: ignore[attr-defined]  # what train_mode says it has
        return optimizer

    @torch.enable_grad()  # some optimizers call it under no_grad
    def _closure(self) -> Tensor:
        self._zero_grad()
        return self._forward_backward()

    def _forward_backward(self) -> Tensor:
        forward = self.way.forward if self.frozen else attached_forward
        loss = forward(self.workload, self.current)
        loss.backward(create_graph=self.entry.create_graph)  # type: ignore[no-untyped-call]
        self.losses.append(loss.item())
        if self.frozen:
            self.way.before_step(self.frozen_parameters.values())
        self.interfere()
        self.grad = grad_state(self.frozen_parameters.values())
        return loss

    def _zero_grad(self) -> None:
        how = self.planned.setting.zero_grad
        if how is ZeroGrad.NEVER:
            return
        for optimizer in (self.main, self.own):
            if optimizer is not None:
                optimizer.zero_grad(set_to_none=how is ZeroGrad.NONE)


class Start(Protocol):
    """What begins a training anew: `Training` itself, or with its device and workload settled."""

    def __call__(self, planned: PlannedTrial, at: Moment | None = None, /) -> Training:
        """A training of ``planned`` from its start, or with a new optimizer from a moment on."""


def grad_state(parameters: Iterable[nn.Parameter]) -> GradState:
    """What an optimizer finds in the grads of ``parameters`` taken together."""
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not grads:
        return GradState.NONE
    return GradState.NONZERO if any(map(_has_nonzero, grads)) else GradState.ZERO


def _has_nonzero(grad: Tensor) -> bool:
    values = grad.coalesce().values() if grad.is_sparse else grad
    return bool(values.any())


def _nothing() -> None:
    pass
