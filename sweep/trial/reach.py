"""How a step of a trial is reached again: from a copy made on the way, or from the start.

A copy is quicker and proves nothing: an optimizer may keep its state where no copy finds it, or
where building another does not clear it. Whoever reaches a step by a copy holds what comes of it
against the trial, and has it forgotten where the two differ.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from torch.optim import Optimizer

from sweep.trial.causes import tried
from sweep.trial.outside import PutBack, surroundings_now
from sweep.trial.training import Start, Training
from sweep.values.setting import PlannedTrial
from sweep.workloads.seeding import generators_now

COPIED_BYTES = 2**22
"""The largest model of which a copy is kept through a trial, in bytes; of a larger one, a second
set of parameters and state weighs more than the steps that it would save."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A training as it was just before a ``step()``, in a copy that is never trained itself."""

    training: Training
    put_back: Sequence[PutBack]

    @classmethod
    def of(cls, training: Training) -> Self | None:
        """A snapshot of ``training``, whose step is about to act; None where none can be made."""
        if not is_small(training) or training.acts_in_backward():
            return None
        twin, _ = tried(lambda: copied(training))  # what an optimizer holds may refuse
        around = generators_now(), surroundings_now(type(training.main))
        return None if twin is None else cls(twin, around)


class Reach:
    """Trainings of one trial, or of one stack, at the moment before a ``step()`` acts."""

    def __init__(
        self,
        planned: PlannedTrial,
        start: Start,
        snapshot: Snapshot | None = None,
        first_end: tuple[bytes, ...] = (),
    ) -> None:
        """``start`` begins each training of the trial, or of one like it.

        With a ``snapshot`` comes ``first_end``, a hash of what the trial's first step ended with.
        """
        self.planned = planned
        self.start = start
        self._snapshot = snapshot
        self._first_end = first_end

    @property
    def has_copy(self) -> bool:
        """Whether a copy is there to go on from."""
        return self._snapshot is not None

    def at(self, step: int) -> Training:
        """A training that is ready for ``step``, with the history it has by then."""
        if self._snapshot is not None and self._snapshot.training.current <= step:
            snapshot = self._snapshot
            training, _ = tried(lambda: self._from_copy(snapshot, step))
            if training is not None:
                return training
            self.forget_copy()  # it lacks something
        training = self.before(step)
        training.ready(step)
        return training

    def before(self, step: int) -> Training:
        """A training just before ``step``, begun anew."""
        training = self.start(self.planned)
        training.advance(0, step)
        return training

    def _from_copy(self, snapshot: Snapshot, step: int) -> Training:
        training = copied(snapshot.training)
        for put_back in snapshot.put_back:
            put_back()
        if training.current < step:
            training.step()
            training.clear_grads()
            training.advance(training.current + 1, step)
            training.ready(step)
        return training

    def begins_alike(self) -> bool:
        """Whether the trial, begun anew, ends its first step as it did.

        It does not where something of it outlasts it in this process, as the state of an
        optimizer in its module may, or where its workload is another each time it is built.
        """
        training = self.start(self.planned)
        training.run(0)
        return training.digests() == self._first_end

    def forget_copy(self) -> bool:
        """Trains from the start from now on; whether there was another way."""
        had, self._snapshot = self._snapshot is not None, None
        return had


def is_small(training: Training) -> bool:
    """Whether copies of its parameters may be kept; see `COPIED_BYTES`."""
    return sum(p.nbytes for p in training.workload.model.parameters()) <= COPIED_BYTES


def copied(training: Training) -> Training:
    """A training with parameters, grads and optimizers of its own; the data are shared.

    Raises whatever copying the model or what the optimizer holds raises.
    """
    workload = training.workload
    memo: dict[int, Any] = {id(workload.data): workload.data}
    model = copy.deepcopy(workload.model, memo)
    for old, new in zip(workload.model.parameters(), model.parameters(), strict=True):
        vars(new).update(copy.deepcopy(vars(old), memo))
        new.grad = copy.deepcopy(old.grad, memo)
    twin = copy.copy(training)
    twin.take(replace(workload, model=model))
    twin.main = _copied_optimizer(training.main, memo)
    twin.own = None if training.own is None else _copied_optimizer(training.own, memo)
    return twin


def _copied_optimizer(optimizer: Optimizer, memo: dict[int, Any]) -> Optimizer:
    """With all that it holds, and not only what torch would pickle of it."""
    twin: Optimizer = object.__new__(type(optimizer))
    memo[id(optimizer)] = twin
    vars(twin).update(copy.deepcopy(vars(optimizer), memo))
    return twin
