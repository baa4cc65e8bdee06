"""One training run, a step at a time: the workload, its optimizer and its way of freezing.

`sweep.trial.trial` drives it from the first step to the last; `sweep.trial.causes` drives it to one
step and then interferes. It observes nothing: that is the probe's part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sweep.optimizers import registry
from sweep.optimizers.build import build_optimizer
from sweep.trial.freezing import WAYS, Grouping, attached_forward
from sweep.trial.moment import Moment
from sweep.trial.outside import PutBack
from sweep.trial.pure import KeptOutputs
from sweep.trial.scoring import score_of
from sweep.trial.stack import apart, build_stack, digests, replicates_alone
from sweep.values import schedule
from sweep.values.setting import PlannedTrial
from sweep.values.words import GradState, ZeroGrad
from sweep.workloads.seeding import seed_everything
from sweep.workloads.workload import Workload

SURELY_FINITE = 1e30
"""Of a stack's losses: a sum of float32 below it has no addend, nor a mean one, that overflowed."""


class Training:
    """A training run of one setting, or of several that differ in their seed, as one stack.

    Each step is `begin`, `backward`, `step`, `clear_grads`, in that order. An optimizer
    that needs a closure runs forward and backward inside `step`, and `backward` does
    nothing.

    Attributes:
        workload: the model under training, with its data and loss.
        replicates: how many trials are trained at once.
        main: the optimizer. Under the way ``own_optimizer``, that of the other parameters.
        frozen_parameters: what the schedule freezes, by name.
        losses: the loss of each forward pass of the current step; of a stack, the sum.
        grads: what the frozen parameters' grads were just before ``step()`` acted on them, for
            each trial.
    """

    def __init__(
        self,
        planned: PlannedTrial,
        at: Moment | None = None,
        *,
        seeds: Sequence[int] = (),
        device: str = "cpu",
    ) -> None:
        """Seeds every generator, builds the workload, then the optimizer.

        ``seeds`` are those of a stack's trials; without them it is ``planned`` alone. Where
        ``at`` is given, the optimizer is built for a model that has the bits of that moment,
        and the generators go on from there. Raises whatever the workload or the optimizer's
        constructor raises.
        """
        setting = planned.setting
        self.planned = planned
        self.entry = registry.lookup(setting.optimizer)
        self.schedule = schedule.parse(setting.schedule)
        self._seeds, self._device = tuple(seeds) or (setting.seed,), device
        self.way = WAYS[setting.freeze]
        self.take(build_stack(planned.workload, self._seeds, device))
        self.losses: list[float] = []
        self.grads = (GradState.NONE,) * self.replicates
        self._change: Callable[[nn.Parameter], None] | None = None
        if at is not None:
            at.put_into(self.workload.model)
        seed_everything(setting.seed)
        self._build_optimizers()
        if at is not None:
            at.put_back_generators()

    def take(self, workload: Workload) -> None:
        """Trains ``workload`` from now on; the optimizer is the caller's affair."""
        self.workload = workload
        self.replicates = workload.replicates
        self.frozen_parameters = workload.frozen_parameters()
        self.other_parameters = workload.other_parameters()
        keeps = workload.pure and self.way.detaches(workload)
        self._kept = KeptOutputs(workload, self.planned.setting.seed) if keeps else None

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
        layer, rate_key = self.frozen_parameters.values(), self.entry.rate_key
        self.way.begin(layer, self.main, rate_key, self.frozen)

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

    def ready(self, step: int) -> None:
        """The step up to the moment before ``step()`` acts."""
        self.begin(step)
        self.backward()

    def change_grads(self, change: Callable[[nn.Parameter], None]) -> None:
        """Does ``change`` to each frozen parameter, on whose grad a frozen step is about to act.

        It is done again after every later backward pass of a frozen step: a closure brings
        grads of its own.
        """
        self._change = change
        if not self.entry.needs_closure or self.entry.backward_first:
            self._change_grads()

    def _change_grads(self) -> None:
        if self.frozen and self._change is not None:
            for parameter in self.frozen_parameters.values():
                self._change(parameter)

    def run(self, step: int) -> None:
        """One whole step but for clearing the grads after it."""
        self.ready(step)
        self.step()

    def advance(self, start: int, stop: int) -> None:
        """Trains from just before the step ``start`` to just before the step ``stop``."""
        for step in range(start, stop):
            self.run(step)
            self.clear_grads()

    def acts_in_backward(self) -> bool:
        """Whether something, such as an optimizer, has hooked itself to a parameter's grad."""
        return any(
            p._backward_hooks or getattr(p, "_post_accumulate_grad_hooks", None)
            for p in self.workload.model.parameters()
        )

    def digests(self) -> tuple[bytes, ...]:
        """A hash of every parameter, for each trial."""
        return digests(self.workload.model.parameters(), self.replicates)

    def losses_of_each(self, *, needed: bool) -> list[list[float]] | list[None]:
        """The ``losses`` of each trial; None for those of a stack where they are not ``needed``.

        They come in spite of that where one may not be finite: of losses that are not negative,
        a small sum says that each is.
        """
        workload = self.workload
        if workload.each_loss is None:
            return [self.losses]
        if not needed and self.losses[0] < SURELY_FINITE:
            return [None] * self.replicates
        return [[it] for it in workload.each_loss(workload.model, workload.data, self.current)]

    def finite_of_each(self) -> list[bool]:
        """Whether every element of every parameter is a finite number, for each trial."""
        finite = [p.isfinite() for p in self.workload.model.parameters()]
        each = zip(*(apart(it, self.replicates) for it in finite), strict=True)
        return [all(bool(it.all()) for it in parts) for parts in each]

    def scores_of_each(self) -> list[float | None]:
        """What `score_of` says of each trial's model as it stands."""
        if self.workload.score is None:
            return [None] * self.replicates
        name = self.planned.workload
        each = replicates_alone(self.workload, name, self._seeds, self._device)
        return [score_of(alone) for alone in each]

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
        kept = self._kept.instead_of_computing() if self._kept and self.frozen else nullcontext()
        with kept:
            loss = forward(self.workload, self.current)
        loss.backward(create_graph=self.entry.create_graph)  # type: ignore[no-untyped-call]
        self.losses.append(loss.item())
        if self.frozen:
            self.way.before_step(self.frozen_parameters.values())
        self._change_grads()
        self.grads = grad_states(self.frozen_parameters.values(), self.replicates)
        return loss

    def _zero_grad(self) -> None:
        how = self.planned.setting.zero_grad
        if how is ZeroGrad.NEVER:
            return
        for optimizer in (self.main, self.own):
            if optimizer is not None:
                optimizer.zero_grad(set_to_none=how is ZeroGrad.NONE)


def begin(
    put_back: PutBack, planned: PlannedTrial, at: Moment | None = None, **settled: Any
) -> Training:
    """A `Training`, which finds of its optimizer's class what ``put_back`` puts back."""
    put_back()
    return Training(planned, at, **settled)


class Start(Protocol):
    """What begins a training anew: `Training` itself, or `begin` with the rest settled."""

    def __call__(self, planned: PlannedTrial, at: Moment | None = None, /) -> Training:
        """A training of ``planned`` from its start, or with a new optimizer from a moment on."""


def grad_states(parameters: Iterable[nn.Parameter], replicates: int = 1) -> tuple[GradState, ...]:
    """What an optimizer finds in the grads of ``parameters`` taken together, for each trial."""
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not grads:
        return (GradState.NONE,) * replicates
    each = zip(*(_have_nonzero(grad, replicates) for grad in grads), strict=True)
    return tuple(GradState.NONZERO if any(found) else GradState.ZERO for found in each)


def _have_nonzero(grad: Tensor, replicates: int) -> list[bool]:
    if replicates > 1:
        found: list[bool] = grad.flatten(1).any(dim=1).tolist()
        return found
    values = grad.coalesce().values() if grad.is_sparse else grad
    return [bool(values.any())]
