"""What a step finds of each parameter: is it to keep still, and is it known whether it will?

One that kept still, or moved, does so again in the same circumstances: it need not be copied,
or rehearsed, a second time. Where that proves wrong it is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.optim import Optimizer

from sweep.watching.arrivals import Arrival, Arrivals
from sweep.watching.meant import Wish
from sweep.watching.parts import is_plain, one_part, parts
from sweep.watching.roster import Subject
from sweep.watching.states import UNREACHED, Grads, State


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a watch: the options of `watch`, which says what they mean."""

    frozen: Wish
    trainable: Wish
    zeros_count: bool
    rows: bool
    causes: bool


@dataclass(frozen=True, slots=True)
class StepGroup:
    """A parameter group as far as it matters: which one, and whether it has a rate and decay."""

    index: int
    has_rate: bool
    has_decay: bool


Groups = Mapping[int, StepGroup]
"""The group of each parameter, by identity."""


def groups_of(*members: Optimizer) -> Groups:
    """The groups of everything that those hold now, the last first; equal ones are identical."""
    found: dict[int, StepGroup] = {}
    for member in members:
        for index, group in enumerate(member.param_groups):
            has = bool(group.get("lr", True)), bool(group.get("weight_decay", False))
            found |= dict.fromkeys(map(id, group["params"]), _group(index, *has))
    return found


_group = cache(StepGroup)
_STATES = list(State)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides, as far as is known, whether a step moves a parameter that is to keep still.

    Attributes:
        states: what the step finds in its grad, in what is to keep still of it.
        group: which of the optimizer's groups it is in.
        has_state: whether the optimizer keeps anything for it.
        fed: whether autograd has ever brought it a gradient under watch.
    """

    states: frozenset[State]
    group: StepGroup
    has_state: bool
    fed: bool


@dataclass(slots=True, eq=False)
class Case:
    """A parameter in the step at hand.

    Attributes:
        subject: the parameter.
        parameter: the tensor itself.
        state: what the step finds in its grad.
        still: whether it is to keep still, so that moving is a leak.
        where: the part that is to keep still; None is all of it.
        quiet: what the step finds in that part.
        experience: whether it moved when it was last in some circumstances.
        circumstances: its circumstances; None where they do not matter.
        matters: whether a movement is told of: a leak, or one on zeros that came.
        known: whether it moved when it was last in these circumstances; None if it never was.
    """

    subject: Subject
    state: State
    still: bool
    where: Tensor | None
    quiet: frozenset[State]
    experience: dict[Circumstances, bool]
    circumstances: Circumstances | None = None
    parameter: Tensor = field(init=False)
    matters: bool = field(init=False)
    known: bool | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.parameter = self.subject.parameter
        told = self.still or self.state is State.ZEROS_CAME
        self.matters = self.subject.in_model and told

    @property
    def found(self) -> State:
        """What the step finds in what is to keep still, or else in the whole grad."""
        return min(self.quiet, key=_STATES.index, default=self.state)

    def put_in(self, circumstances: Circumstances | None) -> None:
        """Says what the circumstances are."""
        self.circumstances = circumstances
        self.known = None if circumstances is None else self.experience.get(circumstances)

    def learn(self, *, moved: bool) -> None:
        """Remembers whether it moved in these circumstances."""
        if self.circumstances is not None:
            self.experience[self.circumstances] = self.known = moved


class Cases:
    """Makes the cases of one optimizer's steps; an earlier one serves again where it fits."""

    def __init__(self, question: Question, grads: Grads, arrivals: Arrivals) -> None:
        self._question = question
        self._grads = grads
        self._arrivals = arrivals
        self._made: dict[tuple[int, State], tuple[Case, Arrival]] = {}
        self._experience = WeakKeyDictionary[Subject, dict[Circumstances, bool]]()

    def forget(self) -> None:
        """Makes every case anew from now on; what was learned stays."""
        self._made.clear()

    def of(
        self, subject: Subject, state: State, groups: Groups, optimizer: Optimizer
    ) -> Case | None:
        """The case of a parameter; None if this process holds nothing of it."""
        parameter = subject.parameter
        key, group = id(parameter), groups.get(id(parameter))
        made = self._made.get((key, state))
        if made is not None and is_plain(parameter) and parameter.numel():
            case, arrival = made
            now = case.circumstances
            if (
                not case.matters
                or group is None
                or (
                    now is not None
                    and now.group is group
                    and now.fed is (arrival.time > 0)
                    and now.has_state is bool(optimizer.state.get(parameter))
                )
            ):
                return case
        if not any(part.numel() for part in parts(parameter)):
            return None
        case, arrival = self.case(subject, state), self._arrivals.of(parameter)
        if case.matters and group is not None:
            has_state = bool(optimizer.state.get(parameter))
            case.put_in(Circumstances(case.quiet, group, has_state, arrival.time > 0))
        if case.where is None and not self._question.rows:
            self._made[key, state] = case, arrival
        return case

    def case(self, subject: Subject, state: State) -> Case:
        """The case of a parameter without its circumstances."""
        question, parameter = self._question, subject.parameter
        known = self._experience.setdefault(subject, {})
        frozen = question.frozen.now
        quiet = state in UNREACHED or (state is State.ZEROS_CAME and not question.zeros_count)
        where, found, still = None, frozenset({state}), quiet
        if subject.name in frozen.parameters or (quiet and not question.rows):
            still = True
        elif subject.name in frozen.masks:
            still, where = True, frozen.masks[subject.name]
            found = frozenset({self._grads.state_in(parameter, where, state)})
        elif question.rows and parameter.dim() and one_part(parameter) is not None:
            where, found = self._quiet_rows(parameter, state)
            still = bool(found)
        return Case(subject, state, still, where, found, known)

    def _quiet_rows(self, parameter: Tensor, state: State) -> tuple[Tensor, frozenset[State]]:
        """The rows that are to keep still, and the states in which they are."""
        rows = self._grads.row_states(parameter, state)
        reached = [State.FRESH] + [State.ZEROS_CAME] * self._question.zeros_count
        quiet = {each: rows[each] for each in rows if each not in reached and rows[each].any()}
        where = torch.zeros_like(next(iter(rows.values())))
        for part in quiet.values():
            where |= part
        return where, frozenset(quiet)
