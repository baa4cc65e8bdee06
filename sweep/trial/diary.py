"""What a trial writes down of its own steps while it trains, for replays to be held against.

Kept are hashes, copies of the frozen parameters alone where they moved, and, of a small model, one
copy of the whole training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from sweep.trial.causes import Parameters
from sweep.trial.moment import cloned, copies
from sweep.trial.probe import Probe
from sweep.trial.reach import Snapshot
from sweep.trial.stack import apart, digests
from sweep.trial.training import Training
from sweep.values.words import GradState, ZeroGrad
from sweep.workloads.seeding import generators_now

STEPS_FOLLOWED = 5
"""How long the other parameters are followed for `sweep.trial.hindsight`: the first frozen step
with a grad and four more. Of 206 optimizers, all that ever do it do it by then, save for adaptive
clipping (pytorch_optimizer.adagc), whose first clipped step may come later."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What a trial, or each trial of a stack, saw of one step; replays are held against it.

    Attributes:
        step: which, counting from 0.
        before: a hash of the frozen parameters just before it, for each trial.
        grads: what the optimizer found in their grads, for each trial.
        after: a hash of all parameters just after it, for each trial.
    """

    step: int
    before: tuple[bytes, ...]
    grads: tuple[GradState, ...]
    after: tuple[bytes, ...]

    @classmethod
    def of(cls, training: Training, before: Parameters) -> Self:
        """What is to be seen of ``training`` just after a step."""
        return cls(
            training.current,
            digests(before.values(), training.replicates),
            training.grads,
            training.digests(),
        )


@dataclass(frozen=True, slots=True)
class Followed:
    """A step on which the other parameters are followed, as it ended.

    Attributes:
        step: which, counting from 0.
        others: a hash of the other parameters, for each trial.
        frozen: the frozen parameters; nothing after the last of these steps.
        grads: what is left in their grads: of grads that are cleared anyway, zeros; None where
            it is what the step found there.
        put_back_generators: has the generators go on from here.
    """

    step: int
    others: tuple[bytes, ...]
    frozen: Parameters
    grads: Mapping[str, Tensor | None] | None
    put_back_generators: Callable[[], None]


class Diary:
    """What has been written down so far.

    Attributes:
        witnesses: the steps on which a trial first leaked, by number.
        followed: the steps on which the other parameters were followed, in order.
        frozen_norms: the L2 norm of the frozen parameters at the start of the first frozen
            step, for each trial; None until then.
        first_end: a hash of all parameters after the first step, for each trial.
        snapshot: a copy of the training as it was when the first of them was about to act; where
            a closure brings the grads, when the first frozen step was.
    """

    def __init__(self, trials: int) -> None:
        self.frozen_norms: Sequence[float | None] = [None] * trials
        self.witnesses: dict[int, Witness] = {}
        self.followed: list[Followed] = []
        self.first_end: tuple[bytes, ...] = ()
        self.snapshot: Snapshot | None = None
        self._looked = False
        self._grads_found: tuple[bytes, ...] | None = None

    def before_step(self, training: Training) -> None:
        """Called just before each step acts."""
        if not self._looked and (_meets_grads(training) or _may_meet_grads(training)):
            self.snapshot, self._looked = Snapshot.of(training), True
        if self._looked and self._follows(training):
            self._grads_found = _grads_that_stay(training)

    def after_step(self, training: Training, probe: Probe, *, leaks: bool) -> None:
        """Called after each step; ``leaks`` is whether a trial leaks on it for the first time."""
        if training.frozen and self.frozen_norms[0] is None:
            self.frozen_norms = _norms(probe.before, training.replicates)
        if leaks:
            self.witnesses[training.current] = Witness.of(training, probe.before)
        if training.current == 0:
            self.first_end = training.digests()
        if self._follows(training):
            self.followed.append(self._followed(training))

    def _follows(self, training: Training) -> bool:
        if self.followed:
            return len(self.followed) < STEPS_FOLLOWED
        return _meets_grads(training)

    def _followed(self, training: Training) -> Followed:
        frozen = training.frozen_parameters if len(self.followed) < STEPS_FOLLOWED - 1 else {}
        unwritten = self._grads_found is not None and self._grads_found == _grads_that_stay(
            training
        )
        return Followed(
            step=training.current,
            others=digests(training.other_parameters.values(), training.replicates),
            frozen=copies(frozen, self.followed[-1].frozen if self.followed else None),
            grads=None if unwritten else {n: _left(p.grad, training) for n, p in frozen.items()},
            put_back_generators=generators_now(),
        )


def _meets_grads(training: Training) -> bool:
    """Whether the step is a frozen one, and its frozen parameters have grads."""
    return training.frozen and any(it is not GradState.NONE for it in training.grads)


def _may_meet_grads(training: Training) -> bool:
    """Whether that cannot be told beforehand: a closure brings the grads."""
    return training.frozen and training.entry.needs_closure


def _grads_that_stay(training: Training) -> tuple[bytes, ...] | None:
    """A hash of grads that a step finds and nothing clears, by which it is seen to leave them."""
    grads = [p.grad for p in training.frozen_parameters.values()]
    if training.planned.setting.zero_grad is not ZeroGrad.NEVER or training.entry.needs_closure:
        return None
    dense = [grad for grad in grads if grad is not None and grad.layout is torch.strided]
    return digests(dense) if len(dense) == len(grads) else None


def _left(grad: Tensor | None, training: Training) -> Tensor | None:
    if grad is None or training.planned.setting.zero_grad is ZeroGrad.NEVER:
        return cloned(grad)
    return torch.zeros((), dtype=grad.dtype, device=grad.device).expand(grad.shape)


def _norms(parameters: Parameters, replicates: int) -> list[float]:
    parts = zip(*(apart(p, replicates) for p in parameters.values()), strict=True)
    return [
        torch.stack([torch.linalg.vector_norm(p.double()) for p in each]).norm().item()
        for each in parts
    ]
