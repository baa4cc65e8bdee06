"""A step, run on copies before it happens, with sources of movement switched off.

A user's loop cannot be trained again from the start, and once a step is done the state before
it is gone. So a step that may leak is rehearsed: on copies of some parameters, of their grads,
and of what the optimizer keeps for them, with the optimizer's own code. Nothing is concluded
from a rehearsal unless the real step then gives the very same bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer, optimizer

from sweep.trial.causes import Movements, Parameters, Sources, UnexplainedError, movements, tried
from sweep.trial.outside import surroundings_now
from sweep.trial.probe import Change, change_between
from sweep.trial.replay import NO_SWITCH, NOTHING_OFF
from sweep.values.words import Source
from sweep.watching.digests import checksums
from sweep.watching.families import Call
from sweep.watching.findings import Cause, Remedy
from sweep.watching.grads import has_nonzero, zeroed
from sweep.watching.understudy import (
    Double,
    built_anew,
    clear_state,
    hand_over_state,
    has_decay,
    local_part,
    refuse_what_acts_on_the_original,
    stand_in,
    turn_decay_off,
    with_inner,
)
from sweep.workloads.seeding import generators_now

NOT_FAITHFUL = "the optimizer, built anew and given its state, takes another step"
_NAME = "parameter"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A parameter whose movement is in question.

    Attributes:
        parameter: the tensor itself.
        where: which of it, boolean of shape ``(rows,)`` or its own; None for all.
        rows: the numbers of the rows to rehearse; None for all.
    """

    parameter: Tensor
    where: Tensor | None = None
    rows: Tensor | None = None

    def part(self, tensor: Tensor) -> Tensor:
        """What is in question of a tensor of the parameter's shape, of those rows."""
        local = local_part(tensor)
        return self.part_of_rows(local if self.rows is None else local[self.rows])

    def part_of_rows(self, tensor: Tensor) -> Tensor:
        """The same of a tensor that has those rows alone."""
        where = self.where_in_rows
        return tensor if where is None else tensor[where]

    @property
    def where_in_rows(self) -> Tensor | None:
        """``where``, of those rows alone."""
        if self.where is None or self.rows is None:
            return self.where
        return self.where[self.rows]


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a rehearsal showed of one parameter.

    Attributes:
        wanted: what was in question.
        moves: whether the step moves it.
        ending: the checksum of what it ended with.
        explanation: why it moves; None if it does not.
    """

    wanted: Wanted
    moves: bool
    ending: int
    explanation: Cause | None

    def came_true(self) -> bool:
        """Whether the parameter is now what it ended with."""
        return checksums([self.wanted.part(self.wanted.parameter)])[0] == self.ending


def rehearse(
    of: Optimizer, call: Call, wanted: Sequence[Wanted], others: Sequence[Tensor] = ()
) -> tuple[list[Rehearsed], str | None]:
    """What the step will do to each parameter that is wanted, and why.

    ``others`` take part as they are. Changes nothing: neither parameters nor state nor
    generators. The second value is why there is nothing where it could not be rehearsed.
    """
    with _undisturbed(*map(type, with_inner(of))) as put_back:
        found, reason = tried(lambda: _rehearsed(Stage(of, call, wanted, others, put_back)))
    return found or [], reason


def _rehearsed(stage: Stage) -> list[Rehearsed]:
    endings = checksums([role.without(NOTHING_OFF)[_NAME] for role in stage.roles])
    found = []
    for role, ending in zip(stage.roles, endings, strict=True):
        moves = change_between(role.before()[_NAME], role.without(NOTHING_OFF)[_NAME]).moved
        explanation = role.explanation() if moves else None
        found.append(Rehearsed(role.wanted, moves, ending, explanation))
    return found


@contextmanager
def _undisturbed(*kinds: type) -> Iterator[Any]:
    """Puts back what a step of those classes changes around it; everybody's hooks stay out of it.

    Gives what puts it back before each run.
    """
    hooks: tuple[dict[int, Any], ...] = (
        optimizer._global_optimizer_pre_hooks,
        optimizer._global_optimizer_post_hooks,
    )
    kept = [dict(each) for each in hooks]
    generators, surroundings = generators_now(), surroundings_now(*kinds)

    def put_back() -> None:
        generators()
        surroundings()

    try:
        for each in hooks:
            each.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the real step gives its own
            yield put_back
    finally:
        for each, before in zip(hooks, kept, strict=True):
            each.update(before)
        put_back()


class Stage:
    """One step, as often as asked, for several parameters at once. Each run is made once."""

    def __init__(
        self,
        of: Optimizer,
        call: Call,
        wanted: Sequence[Wanted],
        others: Sequence[Tensor],
        put_back: Any,
    ) -> None:
        self.optimizer = of
        self.roles = [Role(self, index, each) for index, each in enumerate(wanted)]
        self._call = call
        self._wanted = list(wanted)
        self._others = others
        self._put_back = put_back
        self._runs: dict[object, list[Tensor]] = {}
        refuse_what_acts_on_the_original(of)

    def run(self, off: Sources) -> list[Tensor]:
        """What each wanted parameter comes to without the sources ``off``."""
        return self._once(off, lambda: self._taken(off))

    def run_without_grad(self) -> list[Tensor]:
        """The same of the step as it is, but with their grads set to None."""
        return self._once("none", lambda: self._taken(NOTHING_OFF, without_grad=True))

    def run_cleared(self, *, decay: bool) -> list[Tensor]:
        """The same with their state cleared, and without weight decay unless ``decay``."""
        return self._once(("cleared", decay), lambda: self._cleared(decay=decay))

    def run_rebuilt(self, *, decay: bool) -> list[Tensor]:
        """The same of an optimizer built anew that is given the state."""
        return self._once(("rebuilt", decay), lambda: self._rebuilt(decay=decay))

    def _once(self, key: object, run: Any) -> list[Tensor]:
        if key not in self._runs:
            self._runs[key] = run()
        return self._runs[key]

    def _taken(self, off: Sources, *, without_grad: bool = False) -> list[Tensor]:
        doubles = self._doubles(off)
        if without_grad:
            for double in doubles[: len(self._wanted)]:
                double.copy.grad = None
        if Source.HISTORY in off:
            new = built_anew(self.optimizer, doubles, decay=Source.DECAY not in off)
            return self._stepped(new, doubles)
        kept = stand_in(self.optimizer, doubles)
        if Source.DECAY in off:
            turn_decay_off(kept)
        return self._stepped(kept, doubles)

    def _cleared(self, *, decay: bool) -> list[Tensor]:
        doubles = self._doubles(NOTHING_OFF)
        kept = stand_in(self.optimizer, doubles)
        for wanted, double in zip(self._wanted, doubles, strict=False):
            clear_state(kept, double.copy, wanted.where_in_rows)
        if not decay:
            turn_decay_off(kept)
        return self._stepped(kept, doubles)

    def _rebuilt(self, *, decay: bool) -> list[Tensor]:
        doubles = self._doubles(NOTHING_OFF)
        kept = stand_in(self.optimizer, doubles)
        new = built_anew(self.optimizer, doubles, decay=decay)
        hand_over_state(new, kept, decay=decay)
        return self._stepped(new, doubles)

    def _doubles(self, off: Sources) -> list[Double]:
        wanted = [_double(each, Source.GRADIENT in off) for each in self._wanted]
        return wanted + [_double(Wanted(other), gradient_off=False) for other in self._others]

    def _stepped(self, by: Optimizer, doubles: Sequence[Double]) -> list[Tensor]:
        self._put_back()
        step: Any = type(by).step
        if getattr(step, "hooked", False):
            step = step.__wrapped__
        step(by, *self._call[0], **self._call[1])
        parts = zip(self._wanted, doubles, strict=False)
        return [wanted.part_of_rows(double.copy.detach()) for wanted, double in parts]


class Role:
    """One wanted parameter of a stage; a `sweep.trial.causes.Replayable`."""

    def __init__(self, stage: Stage, index: int, wanted: Wanted) -> None:
        self.wanted = wanted
        self._stage = stage
        self._index = index

    def there(self) -> Sources:
        """The sources that the step has for it."""
        found = {Source.HISTORY}
        if has_nonzero(self.wanted.parameter.grad, self.wanted.where):
            found.add(Source.GRADIENT)
        if has_decay(self._stage.optimizer, self.wanted.parameter):
            found.add(Source.DECAY)
        return frozenset(found)

    def before(self) -> Parameters:
        """What is in question of it before the step."""
        return {_NAME: self.wanted.part(self.wanted.parameter)}

    def without(self, off: Sources) -> Parameters:
        """The same after the step, run without the sources ``off``."""
        if Source.DECAY in off and Source.HISTORY not in off:
            switched = self._stage.run(frozenset({Source.DECAY}))
            if self._moves_between(switched, self._stage.run_rebuilt(decay=False)):
                raise UnexplainedError(NO_SWITCH)
        return self._of(self._stage.run(off))

    def without_grad(self) -> Parameters:
        """The same after the step, run as it is but with the grad set to None."""
        return self._of(self._stage.run_without_grad())

    def explanation(self) -> Cause:
        """Why the step moves it, and what would keep it still. Raises nothing."""
        found, reason = tried(self._movements)
        if found is None:
            return Cause(None, reason)
        return Cause(found.causes, shares=_shares(found), remedies=self._remedies(found))

    def _movements(self) -> Movements:
        as_it_is = self._stage.run(NOTHING_OFF)
        if self._moves_between(as_it_is, self._stage.run_rebuilt(decay=True)):
            raise UnexplainedError(NOT_FAITHFUL)
        return movements(self)

    def _remedies(self, found: Movements) -> tuple[Remedy, ...]:
        """Those that were rehearsed and keep it still."""
        has_decay = Source.DECAY in found.alone
        still = {Remedy.NONE: not found.without_grad.moved}
        runs = {Remedy.CLEAR_STATE: lambda: self._stage.run_cleared(decay=True)}
        if has_decay:
            runs[Remedy.NO_DECAY] = lambda: self._stage.run(frozenset({Source.DECAY}))
            runs[Remedy.CLEAR_STATE_NO_DECAY] = lambda: self._stage.run_cleared(decay=False)
        for remedy, run in runs.items():
            after, _ = tried(run)
            still[remedy] = after is not None and not self._moved(after)
        if self.wanted.where is not None:
            still[Remedy.NONE] = False  # a part of a grad cannot be None
        return tuple(remedy for remedy in Remedy if still.get(remedy))

    def _moved(self, after: Sequence[Tensor]) -> bool:
        return change_between(self.before()[_NAME], after[self._index]).moved

    def _moves_between(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
        return change_between(one[self._index], other[self._index]).moved

    def _of(self, run: Sequence[Tensor]) -> Parameters:
        return {_NAME: run[self._index]}


def _double(wanted: Wanted, gradient_off: bool) -> Double:
    """A copy of the parameter, with its attributes and its grad, or zeros in place of that."""
    original, local = wanted.parameter, local_part(wanted.parameter)
    value = local.clone() if wanted.rows is None else local[wanted.rows]
    double = nn.Parameter(value, original.requires_grad)
    own = {k: v for k, v in vars(original).items() if not isinstance(v, Tensor) and k != "_spec"}
    vars(double).update(own)  # some optimizers read what others wrote there
    made = Double(original, double, wanted.rows)
    if original.grad is not None:
        grad = made.cut(original.grad)
        double.grad = zeroed(grad, wanted.where_in_rows) if gradient_off else grad
    return made


def _shares(found: Movements) -> Mapping[str, float]:
    """By source or set of sources: its own movement over the whole one."""
    changes: dict[str, Change] = {str(source): change for source, change in found.alone.items()}
    if found.intrinsic.moved:
        changes["intrinsic"] = found.intrinsic
    whole = found.whole.l2
    return {name: change.l2 / whole for name, change in changes.items() if change.moved and whole}
