"""One step of a trial, lived through again from the same bits with sources switched off.

What is replayed is `step()`, from the moment before it acts: the grads are there by then. To clear
an optimizer's state, one is built anew over a model built anew, which is given the moment's bits.
Nothing is said unless the step, replayed as it was, gives the bits that the trial saw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from sweep.trial.causes import (
    NOT_REPEATED,
    Parameters,
    Sources,
    UnexplainedError,
    difference,
    tried,
)
from sweep.trial.diary import Witness
from sweep.trial.moment import Moment, copies
from sweep.trial.reach import Reach, is_small
from sweep.trial.stack import apart, digests
from sweep.trial.training import Training
from sweep.values.setting import PlannedTrial
from sweep.values.words import GradState, Source

NO_SWITCH = "weight decay cannot be switched off with the state kept"
IN_BACKWARD = "the optimizer has a part in backward, which a replay does not run again"
NOTHING_OFF: Sources = frozenset()

ChangeGrad = Callable[[nn.Parameter], None]
"""What is done to a frozen parameter's grad between backward and step."""


def leave(parameter: nn.Parameter) -> None:
    """Leaves the grad as it is."""


def drop(parameter: nn.Parameter) -> None:
    """Sets the grad to None."""
    parameter.grad = None


def fill(parameter: nn.Parameter) -> None:
    """Puts zeros where the grad is None."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)


def zero(parameter: nn.Parameter) -> None:
    """Makes zeros of a grad that is there; a sparse one lists the rows that it listed."""
    if parameter.grad is not None:
        parameter.grad = _zeros(parameter.grad.detach())


class Reruns:
    """One step of a training, run as often as asked, without the sources asked for.

    Each distinct run is made once. What comes back are the frozen parameters just after it, of
    a whole stack where it is one. Each run raises `UnexplainedError` where the step does not
    begin as it did in the trial, and whatever the optimizer raises.
    """

    def __init__(self, reach: Reach, witness: Witness, first: ChangeGrad = leave) -> None:
        """Runs nothing yet.

        ``first`` is done to the frozen parameters' grads in every run, before any source is
        switched off.
        """
        self.witness = witness
        self._reach = reach
        self._first = first
        self._moment: Moment | None = None
        self._before: Parameters = {}
        self._done: dict[object, Parameters] = {}
        self._ends: dict[object, tuple[bytes, ...]] = {}

    @property
    def has_decay(self) -> bool:
        """Whether the setting has any weight decay to switch off."""
        return bool(self._reach.planned.setting.weight_decay)

    def before(self) -> Parameters:
        """Just before the step."""
        self.without(NOTHING_OFF)
        return self._before

    def without(self, off: Sources) -> Parameters:
        """After the step without the sources ``off``."""
        if off and Source.HISTORY not in off and len(self.witness.grads) == 1:
            return self._run(off)  # of one trial alone, these are asked for once
        return self._once(off, lambda: self._run(off))

    def without_grad(self) -> Parameters:
        """After the step as it was, but with the grads set to None."""
        return self._once(drop, lambda: self._after(self._kept(), drop))

    def with_decay_switched_off(self, off: Sources) -> Parameters:
        """After the step by a new optimizer, built with decay, which is switched off in it."""

        def run() -> Parameters:
            training = self._new(decay=True)
            switch_decay_off(training)
            return self._after(training, _to_grads(off))

        return self._once((switch_decay_off, off), run)

    def end(self) -> tuple[bytes, ...]:
        """A hash of every parameter after the step as it was, for each trial."""
        self.without(NOTHING_OFF)
        return self._ends[NOTHING_OFF]

    def end_without_decay(self, *, switched: bool) -> tuple[bytes, ...]:
        """The same of a training without weight decay from its start.

        The optimizer is built without it, or it is ``switched`` off before the first step.
        """
        if switched not in self._ends:
            planned = self._reach.planned
            training = self._reach.start(planned if switched else _without_decay(planned))
            if switched:
                switch_decay_off(training)
            training.advance(0, self.witness.step)
            training.run(self.witness.step)
            self._ends[switched] = training.digests()
        return self._ends[switched]

    def _once(self, key: object, run: Callable[[], Parameters]) -> Parameters:
        if key not in self._done:
            self._done[key] = run()
        return self._done[key]

    def _run(self, off: Sources) -> Parameters:
        if off == NOTHING_OFF:
            return self._as_it_was()
        if Source.HISTORY in off:
            training = self._new(decay=Source.DECAY not in off)
        else:
            training = self._kept()
            if Source.DECAY in off:
                switch_decay_off(training)
        return self._after(training, _to_grads(off))

    def _as_it_was(self) -> Parameters:
        """After the step with every source. A copy that does not repeat the trial is forgotten."""
        after, _ = tried(self._repeated) if self._reach.has_copy else (None, None)
        if after is None:
            self._reach.forget_copy()
        return after or self._repeated()

    def _repeated(self) -> Parameters:
        training = self._kept()
        if is_small(training):
            self._moment = Moment.of(training.workload.model)
        after = self._after(training, leave)
        self._ends[NOTHING_OFF] = end = training.digests()
        if self._reach.has_copy and (end != self.witness.after or not self._reach.begins_alike()):
            raise UnexplainedError(NOT_REPEATED)
        return after

    def _kept(self) -> Training:
        """A training that is ready for the step, with the history it has by then."""
        training = self._reach.at(self.witness.step)
        frozen = training.frozen_parameters
        if digests(frozen.values(), training.replicates) != self.witness.before:
            raise UnexplainedError(NOT_REPEATED)
        if not self._before:
            self._before = copies(frozen)
        return training

    def _new(self, *, decay: bool) -> Training:
        """A training that is ready for the step, its optimizer new, with or without decay.

        Its parameters are new, too: an optimizer may keep what it knows of them anywhere. Their
        grads are those that the step as it was found.
        """
        self.without(NOTHING_OFF)
        planned = self._reach.planned
        # Of a large model no second set of parameters is kept: the moment is reached once more.
        moment = self._moment or Moment.last_of(self._kept().workload.model)
        training = self._reach.start(planned if decay else _without_decay(planned), moment)
        if training.acts_in_backward():
            raise UnexplainedError(IN_BACKWARD)
        training.begin(self.witness.step)
        return training

    def _after(self, training: Training, change: ChangeGrad) -> Parameters:
        def first_and_then(parameter: nn.Parameter) -> None:
            self._first(parameter)
            change(parameter)

        training.change_grads(first_and_then)
        training.step()
        return copies(training.frozen_parameters, self._before)


class Replay:
    """A step as one trial lived through it: by itself, or as a replicate of a stack.

    It is a `sweep.trial.causes.Replayable`.
    """

    def __init__(self, reruns: Reruns, number: int = 0, supposed: GradState | None = None) -> None:
        """The step of the replicate of that ``number``.

        ``supposed`` is what the grad is in all of ``reruns``, where it is not as the trial saw
        it: such a step is not held against the trial.
        """
        self._reruns = reruns
        self._witness = reruns.witness
        self._number = number
        self._supposed = supposed
        self._grad = supposed or reruns.witness.grads[number]

    def there(self) -> Sources:
        """The sources that the step had. Raises `UnexplainedError` if it is not repeated."""
        number, witness = self._number, self._witness
        if self._supposed is None and self._reruns.end()[number] != witness.after[number]:
            raise UnexplainedError(NOT_REPEATED)
        found = {Source.HISTORY}
        if self._grad is GradState.NONZERO:
            found.add(Source.GRADIENT)
        if self._reruns.has_decay and self._decay_acts():
            found.add(Source.DECAY)
        return frozenset(found)

    def before(self) -> Parameters:
        """The frozen parameters just before the step."""
        return self._own(self._reruns.before())

    def without(self, off: Sources) -> Parameters:
        """Those just after it, run without the sources ``off``."""
        kept_state = Source.HISTORY not in off
        if kept_state and Source.DECAY in off and not self._decay_switches_off():
            raise UnexplainedError(NO_SWITCH)
        return self._own(self._reruns.without(off))

    def without_grad(self) -> Parameters:
        """Those just after it, run as it was but with their grads set to None."""
        return self._own(self._reruns.without_grad())

    def _decay_acts(self) -> bool:
        """Whether weight decay changes anything: of a new optimizer's step, or up to this one."""
        return self._acts_anew() or self._end(switched=False) != self._witness.after[self._number]

    def _acts_anew(self) -> bool:
        """Whether weight decay changes the step of a new optimizer."""
        with_decay = self._reruns.without(self._cleared)
        return self._differs(with_decay, self._reruns.without(self._cleared | {Source.DECAY}))

    def _decay_switches_off(self) -> bool:
        """Whether switching decay off leaves what an optimizer that was built without it does.

        Tried, not assumed, on a new optimizer; where decay does nothing in a new one, over a
        whole training up to the step.
        """
        if not self._acts_anew():
            return self._end(switched=True) == self._end(switched=False)
        switched = self._reruns.with_decay_switched_off(self._cleared)
        return not self._differs(switched, self._reruns.without(self._cleared | {Source.DECAY}))

    @property
    def _cleared(self) -> Sources:
        """History off, and the gradient where there is one: what is left is weight decay."""
        gradient = {Source.GRADIENT} if self._grad is GradState.NONZERO else set()
        return frozenset({Source.HISTORY} | gradient)

    def _end(self, *, switched: bool) -> bytes:
        return self._reruns.end_without_decay(switched=switched)[self._number]

    def _differs(self, one: Parameters, other: Parameters) -> bool:
        return difference(self._own(one), self._own(other)).moved

    def _own(self, parameters: Parameters) -> Parameters:
        replicates = len(self._witness.grads)
        return {name: apart(p, replicates)[self._number] for name, p in parameters.items()}


def switch_decay_off(training: Training) -> None:
    """Sets the weight decay in force in every parameter group, where there is one, to 0."""
    key = training.entry.decay_key
    for optimizer in (training.main, training.own):
        for group in getattr(optimizer, "param_groups", ()):
            if key in group:
                group[key] = 0.0


def _to_grads(off: Sources) -> ChangeGrad:
    return zero if Source.GRADIENT in off else leave


def _without_decay(planned: PlannedTrial) -> PlannedTrial:
    return replace(planned, setting=replace(planned.setting, weight_decay=0.0))


def _zeros(grad: Tensor) -> Tensor:
    if grad.layout is not torch.sparse_coo:
        return torch.zeros_like(grad)
    listed = grad.coalesce()
    values = torch.zeros_like(listed.values())
    return torch.sparse_coo_tensor(
        listed.indices(), values, listed.shape, is_coalesced=True, check_invariants=False
    )
