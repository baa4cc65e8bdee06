"""What a trial writes down of its own steps while it trains, for replays to be held against.

Kept are copies of the frozen parameters alone, hashes of the others, and, of a small model, one
copy of the whole training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sweep.trial.causes import Parameters
from sweep.trial.moment import cloned
from sweep.trial.probe import Probe, bits
from sweep.trial.reach import Snapshot
from sweep.trial.stack import apart, digests
from sweep.trial.training import Training
from sweep.trial.witness import Witness
from sweep.values.words import GradState, ZeroGrad
from sweep.workloads.seeding import generators_now

STEPS_FOLLOWED = 5
"""How long the other parameters are followed for `sweep.trial.sideways`: the first frozen step
with a grad and four more. Of 206 optimizers, all that ever do it do it by then, save for adaptive
clipping (pytorch_optimizer.adagc), whose first clipped step may come later."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A step on which the other parameters are followed, as it ended.

    Attributes:
        step: which, counting from 0.
        others: a hash of the other parameters, for each trial.
        frozen: the frozen parameters.
        grads: what is left in their grads; of grads that are cleared anyway, zeros.
        put_back_generators: has the generators go on from here.
    """

    step: int
    others: tuple[bytes, ...]
    frozen: Parameters
    grads: Mapping[str, Tensor | None]
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

    def before_step(self, training: Training) -> None:
        """Called just before each step acts."""
        if not self._looked and (_meets_grads(training) or _may_meet_grads(training)):
            self.snapshot, self._looked = Snapshot.of(training), True

    def after_step(self, training: Training, probe: Probe, *, leaks: bool) -> None:
        """Called after each step; ``leaks`` is whether a trial leaks on it for the first time."""
        first_frozen = training.frozen and self.frozen_norms[0] is None
        if leaks or first_frozen:
            before = probe.copies()
            if first_frozen:
                self.frozen_norms = _norms(before, training.replicates)
            if leaks:
                self.witnesses[training.current] = Witness.of(training, before)
        if training.current == 0:
            everything = training.workload.model.parameters()
            self.first_end = digests(everything, training.replicates)
        if self._follows(training):
            self.followed.append(self._followed(training))

    def _follows(self, training: Training) -> bool:
        if self.followed:
            return len(self.followed) < STEPS_FOLLOWED
        return _meets_grads(training)

    def _followed(self, training: Training) -> Followed:
        before = self.followed[-1].frozen if self.followed else {}
        frozen = training.frozen_parameters
        return Followed(
            step=training.current,
            others=digests(training.other_parameters.values(), training.replicates),
            frozen={name: _copied(p.detach(), before.get(name)) for name, p in frozen.items()},
            grads={name: _left(p.grad, training) for name, p in frozen.items()},
            put_back_generators=generators_now(),
        )


def _meets_grads(training: Training) -> bool:
    """Whether the step is a frozen one, and its frozen parameters have grads."""
    return training.frozen and any(it is not GradState.NONE for it in training.grads)


def _may_meet_grads(training: Training) -> bool:
    """Whether that cannot be told beforehand: a closure brings the grads."""
    return training.frozen and training.entry.needs_closure


def _copied(parameter: Tensor, before: Tensor | None) -> Tensor:
    """A copy of ``parameter``; the earlier one, where the bits are still the same."""
    if before is not None and torch.equal(bits(before), bits(parameter)):
        return before
    return parameter.clone()


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
