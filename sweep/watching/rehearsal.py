"""A step, run on copies before it happens, with sources of movement switched off.

A user's loop cannot be trained again from the start, and once a step is done the state before
it is gone. So a step that may leak is rehearsed: on copies of some parameters, of their grads,
and of what the optimizer keeps for them, with the optimizer's own code. Nothing is concluded
from a rehearsal unless the real step then gives the very same bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any

from torch import Tensor
from torch.optim import Optimizer, optimizer

from sweep.trial.causes import (
    Movements,
    Parameters,
    Sources,
    UnexplainedError,
    difference,
    movements,
    tried,
)
from sweep.trial.outside import surroundings_now
from sweep.trial.replay import NO_SWITCH, NOTHING_OFF
from sweep.values.words import Source
from sweep.watching import understudy
from sweep.watching.digests import checksums, has_nonzero
from sweep.watching.families import Call
from sweep.watching.findings import Cause, Remedy
from sweep.workloads.seeding import generators_now

NOT_FAITHFUL = "the optimizer, built anew and given its state, takes another step"
DECAY_OFF: Sources = frozenset({Source.DECAY})
_NAME = "parameter"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a rehearsal showed of one parameter.

    Attributes:
        wanted: what was in question.
        moves: whether the step moves it.
        ending: the checksum of what it ended with.
        explanation: why it moves; None if it does not.
    """

    wanted: understudy.Wanted
    moves: bool
    ending: int
    explanation: Cause | None

    def came_true(self) -> bool:
        """Whether the parameter is now what it ended with."""
        return checksums([self.wanted.part(self.wanted.parameter)])[0] == self.ending


def rehearse(
    of: Optimizer, call: Call, wanted: Sequence[understudy.Wanted], others: Sequence[Tensor] = ()
) -> tuple[list[Rehearsed], str | None]:
    """What the step will do to each parameter that is wanted, and why.

    ``others`` take part as they are. Changes nothing: neither parameters nor state nor
    generators. The second value is why there is nothing where it could not be rehearsed.
    """
    with _undisturbed(*map(type, understudy.with_inner(of))) as put_back:
        stage = Stage(of, call, wanted, list(map(understudy.Wanted, others)), put_back)
        found, reason = tried(lambda: _rehearsed(stage))
    return found or [], reason


def _rehearsed(stage: Stage) -> list[Rehearsed]:
    understudy.refuse_what_acts_on_the_original(stage.optimizer)
    after, found = stage.run(), []
    for index, (wanted, ending) in enumerate(zip(stage.wanted, checksums(after), strict=True)):
        role = Role(stage, index, wanted)
        moves = difference(role.before(), role.without(NOTHING_OFF)).moved
        found.append(Rehearsed(wanted, moves, ending, role.explanation() if moves else None))
    return found


@contextmanager
def _undisturbed(*kinds: type) -> Iterator[Callable[[], None]]:
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


class By(Enum):
    """Which optimizer takes a step, where its history is not switched off, and how."""

    ITS_COPY = auto()
    ITS_COPY_WITHOUT_GRAD = auto()  # the grads of what is wanted are None
    ITS_COPY_CLEARED = auto()  # it keeps zeros for what is wanted
    A_NEW_ONE = auto()  # built anew, and given the state


@dataclass(frozen=True)
class Stage:
    """One step, as often as asked, for several parameters at once. Each run is made once."""

    optimizer: Optimizer
    call: Call
    wanted: Sequence[understudy.Wanted]
    others: Sequence[understudy.Wanted]
    put_back: Callable[[], None]
    _runs: dict[tuple[Sources, By], list[Tensor]] = field(default_factory=dict)

    def run(self, off: Sources = NOTHING_OFF, by: By = By.ITS_COPY) -> list[Tensor]:
        """What each wanted parameter comes to without the sources ``off``."""
        if (off, by) not in self._runs:
            self._runs[off, by] = self._taken(off, by)
        return self._runs[off, by]

    def _taken(self, off: Sources, by: By) -> list[Tensor]:
        gradient, decay = Source.GRADIENT not in off, Source.DECAY not in off
        doubles = {each: understudy.double_of(each, gradient=gradient) for each in self.wanted}
        for copy in doubles.values() if by is By.ITS_COPY_WITHOUT_GRAD else ():
            copy.grad = None
        doubles |= {each: understudy.double_of(each, gradient=True) for each in self.others}
        if Source.HISTORY in off:
            takes = understudy.built_anew(self.optimizer, doubles, decay=decay)
        else:
            takes = understudy.stand_in(self.optimizer, doubles)
            for each in self.wanted if by is By.ITS_COPY_CLEARED else ():
                understudy.clear_state(takes, doubles[each], each.where_in_rows)
            if by is By.A_NEW_ONE:
                new = understudy.built_anew(self.optimizer, doubles, decay=decay)
                understudy.hand_over_state(new, takes, decay=decay)
                takes = new
            elif not decay:
                understudy.turn_decay_off(takes)
        self.put_back()
        step: Any = type(takes).step
        if getattr(step, "hooked", False):
            step = step.__wrapped__
        step(takes, *self.call[0], **self.call[1])
        return [each.part_of_rows(doubles[each].detach()) for each in self.wanted]


@dataclass(frozen=True, slots=True)
class Role:
    """One wanted parameter of a stage; a `sweep.trial.causes.Replayable`."""

    stage: Stage
    index: int
    wanted: understudy.Wanted

    def there(self) -> Sources:
        """The sources that the step has for it."""
        found = {Source.HISTORY}
        if has_nonzero(self.wanted.parameter.grad, self.wanted.where):
            found.add(Source.GRADIENT)
        if understudy.has_decay(self.stage.optimizer, self.wanted.parameter):
            found.add(Source.DECAY)
        return frozenset(found)

    def before(self) -> Parameters:
        """What is in question of it before the step."""
        return {_NAME: self.wanted.part(self.wanted.parameter)}

    def without(self, off: Sources) -> Parameters:
        """The same after the step, run without the sources ``off``."""
        if Source.DECAY in off and Source.HISTORY not in off and not self._is_rebuilt(DECAY_OFF):
            raise UnexplainedError(NO_SWITCH)
        return self._after(off)

    def without_grad(self) -> Parameters:
        """The same after the step, run as it is but with the grad set to None."""
        return self._after(by=By.ITS_COPY_WITHOUT_GRAD)

    def explanation(self) -> Cause:
        """Why the step moves it, and what would keep it still. Raises nothing."""
        found, reason = tried(self._movements)
        if found is None:
            return Cause(None, reason)
        return Cause(found.causes, shares=_shares(found), remedies=self._remedies(found))

    def _movements(self) -> Movements:
        if not self._is_rebuilt(NOTHING_OFF):
            raise UnexplainedError(NOT_FAITHFUL)
        return movements(self)

    def _remedies(self, found: Movements) -> tuple[Remedy, ...]:
        """Those that were rehearsed and keep it still."""
        runs = {Remedy.CLEAR_STATE: (NOTHING_OFF, By.ITS_COPY_CLEARED)}
        if Source.DECAY in found.alone:
            runs[Remedy.NO_DECAY] = DECAY_OFF, By.ITS_COPY
            runs[Remedy.CLEAR_STATE_NO_DECAY] = DECAY_OFF, By.ITS_COPY_CLEARED
        if self.wanted.where is None:  # a part of a grad cannot be None
            runs[Remedy.NONE] = NOTHING_OFF, By.ITS_COPY_WITHOUT_GRAD
        after = {remedy: tried(partial(self._after, *run))[0] for remedy, run in runs.items()}
        before = self.before()
        return tuple(
            remedy
            for remedy in Remedy
            if (ended := after.get(remedy)) and not difference(before, ended).moved
        )

    def _is_rebuilt(self, off: Sources) -> bool:
        """Whether an optimizer that is built anew, and given the state, takes the same step."""
        return not difference(self._after(off), self._after(off, By.A_NEW_ONE)).moved

    def _after(self, off: Sources = NOTHING_OFF, by: By = By.ITS_COPY) -> Parameters:
        return {_NAME: self.stage.run(off, by)[self.index]}


def _shares(found: Movements) -> Mapping[str, float]:
    """By source or set of sources: its own movement over the whole one."""
    changes = {str(source): change for source, change in found.alone.items()}
    changes |= {"intrinsic": found.intrinsic}
    whole = found.whole.l2
    return {name: change.l2 / whole for name, change in changes.items() if change.moved and whole}
