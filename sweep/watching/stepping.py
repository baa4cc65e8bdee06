"""One optimizer under watch: what each of its outermost steps does to what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.optim import Optimizer

from sweep.watching.arrivals import Arrivals
from sweep.watching.circumstances import Circumstances, Experience, Groups, groups_of
from sweep.watching.closures import has_closure, listening
from sweep.watching.families import Call, Family
from sweep.watching.findings import Cause, Findings, Leak, Record
from sweep.watching.guard import Guard
from sweep.watching.marks import Marks, Moves
from sweep.watching.meant import Wish
from sweep.watching.movement import Movement, movement
from sweep.watching.parts import elements_here, one_part, parts
from sweep.watching.rehearsals import NOT_ASKED, Doubtful, Rehearsals
from sweep.watching.roster import Roster, Subject
from sweep.watching.states import UNREACHED, Grads, State

STEPS_UNTIL_TRUSTED = 2
"""Steps with movement on which version counters must tell of all of it before they are trusted."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a watch.

    Attributes:
        frozen: what must not move even if a gradient reaches it.
        trainable: what must move.
        zeros_count: zeros that autograd brings are a gradient.
        rows: rows are judged one by one.
        causes: leaks are explained.
    """

    frozen: Wish
    trainable: Wish
    zeros_count: bool
    rows: bool
    causes: bool


@dataclass(slots=True)
class Case:
    """A parameter in the step at hand.

    Attributes:
        subject: the parameter.
        state: what the step finds in its grad.
        still: whether it is to keep still, so that moving is a leak.
        where: the part that is to keep still; None is all of it.
        quiet: what the step finds in that part.
        circumstances: what decides, as far as is known, whether it moves; None where that does
            not matter.
    """

    subject: Subject
    state: State
    still: bool
    where: Tensor | None = None
    quiet: frozenset[State] = frozenset()
    circumstances: Circumstances | None = None

    @property
    def parameter(self) -> Tensor:
        """The tensor itself."""
        return self.subject.parameter

    @property
    def found(self) -> State:
        """What the step finds in what is to keep still, or else in the whole grad."""
        return min(self.quiet, key=list(State).index) if self.quiet else self.state

    @property
    def matters(self) -> bool:
        """Whether a movement is told of: a leak, or one on zeros that came."""
        return self.subject.in_model and (self.still or self.state is State.ZEROS_CAME)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the optimizers of one watch share; ``refresh`` reads the model again if it changed."""

    roster: Roster
    arrivals: Arrivals
    marks: Marks
    guard: Guard
    question: Question
    findings: Findings
    refresh: Callable[[], None]


class Stepping:
    """Listens to the steps of one family, compares and records."""

    def __init__(self, index: int, family: Family, shared: Shared) -> None:
        """Looks at what the family holds now, and remembers what is in the grads."""
        self.family = family
        self.held: list[Subject] = []
        self._index = index
        self._shared = shared
        self._grads = Grads(shared.arrivals)
        self._experience = Experience()
        self._rehearsals = Rehearsals()
        self._cases: dict[int, Case] | None = None
        self._groups: Groups = {}
        self._so_far = Moves()  # what the step at hand had moved when its closure had run
        self._looked_at = 0  # on the clock of the arrivals
        self._copies: dict[int, tuple[Tensor, ...]] = {}
        self._steps_that_counted = 0
        shared.findings.steps.append(0)
        self._meet()
        self._grads.begin([subject.parameter for subject in self.held])
        self._mark(trusted=False)

    @property
    def held_bytes(self) -> int:
        """The size of the copies that are held now."""
        return sum(part.nbytes for copy in self._copies.values() for part in copy)

    def let_go(self) -> None:
        """Lets go of every tensor."""
        self._copies, self._cases, self.held, self._groups = {}, None, [], {}
        self._rehearsals.forget()

    def note_outside(self, moved: set[int]) -> None:
        """Notes that something else than this family's steps moved those tensors."""
        for subject in self.held:
            if id(subject.parameter) in moved:
                self._record(subject).outside += 1

    def begins(self) -> None:
        """Notes what has moved since the step before."""
        self._shared.guard.step(self._begin, self.held)

    def reaches(self, inner: Optimizer, call: Call) -> Call | None:
        """Looks at the grads; where there is a closure, as soon as that has brought them."""

        def look(with_call: Call) -> None:
            self._shared.guard.step(lambda: self._look(inner, with_call), self.held)

        def look_late(with_call: Call) -> None:
            self._shared.guard.step(self._note_moves, self.held)
            if not self._so_far.moved or not self._wraps:
                look(with_call)

        if has_closure(*call):
            return listening(*call, look_late)
        look(call)
        return None

    def reaches_inside(self, inner: Optimizer, call: Call) -> None:
        """Looks at the grads again where a closure has brought others since, as SAM's does."""
        is_current = self._cases is not None and self._looked_at == self._shared.arrivals.clock
        if not is_current and not has_closure(*call):
            self._shared.guard.step(self._note_moves, self.held)
            self._shared.guard.step(lambda: self._look(inner, call), self.held)

    def ends(self, *, worked: bool, late: bool) -> None:
        """Judges what has moved."""
        self._shared.guard.step(lambda: self._end(worked=worked, late=late), self.held)
        self._cases = None

    def _begin(self) -> None:
        self._shared.refresh()
        self._meet()
        self._cases, self._so_far = None, Moves()
        self.note_outside(set(self._mark(trusted=self._trusted).moved))

    def _look(self, inner: Optimizer, call: Call) -> None:
        """Finds the state of each grad, and copies and rehearses what may move by a leak."""
        states = self._states(self.held)
        self._groups, self._looked_at = groups_of(inner), self._shared.arrivals.clock
        self._cases = {}
        for subject in self.held:
            if id(subject.parameter) in states:
                take_up = partial(self._take_up, subject, states[id(subject.parameter)], inner)
                self._shared.guard.one(subject.parameter, take_up)
        if self._shared.question.causes:
            self._rehearsals.rehearse(inner, call, self._doubtful(self._cases.values()))
        held, self._copies = self._copies, {}
        for key, case in self._cases.items():
            if self._may_move(case):
                copy = partial(self._copy, case.parameter, held.get(key))
                self._shared.guard.one(case.parameter, copy)

    def _take_up(self, subject: Subject, state: State, inner: Optimizer) -> None:
        """Makes a case of a parameter, unless this process holds nothing of it."""
        parameter = subject.parameter
        if not elements_here(parameter) and not parameter.is_meta:
            return
        case = self._case(subject, state)
        if case.matters and id(parameter) in self._groups:
            fed = self._shared.arrivals.of(parameter).time > 0
            case.circumstances = Circumstances.of(
                parameter, case.quiet, inner, self._groups, fed=fed
            )
        if self._cases is not None:
            self._cases[id(parameter)] = case

    def _copy(self, parameter: Tensor, held: tuple[Tensor, ...] | None) -> None:
        self._copies[id(parameter)] = _copy_of(parameter, held)

    def _note_moves(self) -> None:
        """Notes what a step has moved before its closure brought the gradients."""
        self._so_far = self._mark(trusted=self._trusted, anew=False)

    def _end(self, *, worked: bool, late: bool) -> None:
        if late and self._cases is None:
            return  # it raised before its grads could be looked at
        moves = self._mark(trusted=self._trusted)
        if not worked and not moves.moved:
            return  # a wrapper that had nothing to do, as between accumulated batches
        if self._cases is None:
            self._look(self.family.hooked[-1], ((), {}))  # its closure was never called
        self._learn_whether_counters_count(moves)
        cases = [self._at_the_end(case) for case in (self._cases or {}).values()]
        explained_first = sorted(cases, key=lambda each: not self._rehearsals.has(each.parameter))
        for case in explained_first:
            self._shared.guard.one(case.parameter, partial(self._judge, case, moves))
        self._leave_grads(self._looked_at if late else None)
        self._rehearsals.forget()
        self._copies = {
            key: copy
            for key, copy in self._copies.items()
            if key in moves.moved  # kept, so that the next one need not be made anew
        }
        self._shared.findings.steps[self._index] += 1

    def _case(self, subject: Subject, state: State) -> Case:
        question, parameter = self._shared.question, subject.parameter
        frozen = question.frozen.now
        quiet = state in UNREACHED or (state is State.ZEROS_CAME and not question.zeros_count)
        if subject.name in frozen.parameters or (quiet and not question.rows):
            return Case(subject, state, still=True, quiet=frozenset({state}))
        if subject.name in frozen.masks:
            where = frozen.masks[subject.name]
            found = frozenset({self._grads.state_in(parameter, where, state)})
            return Case(subject, state, still=True, where=where, quiet=found)
        if not question.rows or one_part(parameter) is None or not parameter.dim():
            return Case(subject, state, still=quiet, quiet=frozenset({state}))
        where, found = self._quiet_rows(parameter, state)
        return Case(subject, state, still=bool(found), where=where, quiet=found)

    def _quiet_rows(self, parameter: Tensor, state: State) -> tuple[Tensor, frozenset[State]]:
        """The rows that are to keep still, and the states in which they are."""
        rows = self._grads.row_states(parameter, state)
        reached = [State.FRESH] + [State.ZEROS_CAME] * self._shared.question.zeros_count
        quiet = {each: rows[each] for each in rows if each not in reached and rows[each].any()}
        where = torch.zeros_like(next(iter(rows.values())))
        for part in quiet.values():
            where |= part
        return where, frozenset(quiet)

    def _at_the_end(self, case: Case) -> Case:
        """The case as it is once the step has ended: a closure may have brought more."""
        arrival = self._shared.arrivals.of(case.parameter)
        if arrival.time <= self._looked_at or case.state is State.FRESH:
            return case
        state = self._states([case.subject]).get(id(case.parameter), case.state)
        if state is not State.FRESH:
            return case
        return replace(self._case(case.subject, state), circumstances=case.circumstances)

    def _doubtful(self, cases: Iterable[Case]) -> list[Doubtful]:
        """Those of which a rehearsal may tell something that is not known."""
        found = []
        for case in cases:
            if case.circumstances is None or self._is_explained(self._record(case.subject)):
                continue
            if self._experience.moved(case.parameter, case.circumstances) is not False:
                found.append(Doubtful(case.parameter, case.where, case.circumstances))
        return found

    def _may_move(self, case: Case) -> bool:
        """Whether a copy is wanted: it moved so before, or nothing says that it keeps still."""
        if case.circumstances is None:
            return False
        if case.where is not None:
            return True
        known = self._experience.moved(case.parameter, case.circumstances)
        if known is None:
            known = self._rehearsals.moves(case.parameter)
        return case.state is not State.NONE if known is None else known

    def _judge(self, case: Case, moves: Moves) -> None:
        record, key = self._record(case.subject), id(case.parameter)
        moved = key in moves.moved or key in moves.remade
        record.states[case.state] += 1
        record.moves[case.state] += moved
        if case.state is State.FRESH and not moved:
            record.at_rate_zero += self._rate_is_zero(case.parameter)
        if not case.matters or case.circumstances is None:
            return
        found = self._movement(case, moved)
        if found is not None:
            moved = found.change.moved
        self._experience.note(case.parameter, case.circumstances, moved=moved)
        fared = record.still if case.still else record.zeros
        change = None if found is None else found.change
        fared.add(self._step, case.found, moved=moved, change=change)
        if record.state is None or (case.still and moved and fared.moved == 1):
            record.state, record.in_part = case.found, case.where is not None
            record.by_hand = case.state is State.LEFT_ZEROS and self._grads.came(case.parameter)
        if not moved:
            return
        explanation = self._explain(case, record)
        if case.still:
            self._keep_leak(case, record, found, explanation)

    def _keep_leak(
        self, case: Case, record: Record, found: Movement | None, explanation: Cause | None
    ) -> None:
        rows = None if found is None else found.rows
        leak = Leak(
            parameter=case.subject.name,
            optimizer=self._index,
            step=self._step,
            change=None if found is None else found.change,
            state=case.found,
            moved_rows=rows,
            explanation=explanation,
        )
        self._shared.findings.keep(record, leak)
        if rows is not None:
            record.moved_rows = rows.joined(record.moved_rows)

    def _movement(self, case: Case, moved: bool) -> Movement | None:
        """How far it moved; None where that was not measured."""
        copy = self._copies.get(id(case.parameter))
        if copy is None or not moved or id(case.parameter) in self._so_far.moved:
            return None
        by_row = self._shared.question.rows or case.where is not None
        return movement(copy, parts(case.parameter), case.where, by_row=by_row)

    def _explain(self, case: Case, record: Record) -> Cause | None:
        """Why it moved; None where that has been said already."""
        if self._is_explained(record):
            return None
        found = Cause(None, NOT_ASKED)
        if self._shared.question.causes:
            found = self._rehearsals.explain(case.parameter)
        if found.causes is None:
            found = replace(found, despite_none=case.state is State.NONE)
        if found.causes is not None or record.explanation is None:
            record.explanation, record.explained_step = found, self._step
            return found
        return None

    @staticmethod
    def _is_explained(record: Record) -> bool:
        return record.explanation is not None and record.explanation.causes is not None

    def _rate_is_zero(self, parameter: Tensor) -> bool:
        found = self._groups.get(id(parameter))
        return found is not None and not found[1].get("lr", True)

    def _states(self, subjects: Sequence[Subject]) -> dict[int, State]:
        return self._shared.guard.all(
            subjects, self._grads.states, lambda one, other: one | other, {}
        )

    def _mark(self, *, trusted: bool, anew: bool = True) -> Moves:
        def update(tensors: list[Tensor]) -> Moves:
            return self._shared.marks.update(tensors, trusted=trusted, anew=anew)

        return self._shared.guard.all(self.held, update, Moves.joined, Moves())

    def _leave_grads(self, ended: int | None) -> None:
        leave = partial(self._grads.leave, ended=ended)
        self._shared.guard.all(self.held, leave, lambda one, _: one, None)

    @property
    def _wraps(self) -> bool:
        return len(self.family.hooked) > 1

    @property
    def _trusted(self) -> bool:
        return self._steps_that_counted >= STEPS_UNTIL_TRUSTED

    def _learn_whether_counters_count(self, moves: Moves) -> None:
        if moves.unseen:
            self._steps_that_counted = -(2**62)  # never again
        elif moves.moved:
            self._steps_that_counted += 1

    @property
    def _step(self) -> int:
        return self._shared.findings.steps[self._index]

    def _record(self, subject: Subject) -> Record:
        return self._shared.findings.record(self._index, subject.name)

    def _meet(self) -> None:
        found = [self._shared.roster.of(tensor) for tensor in self.family.parameters]
        self.held = [subject for subject in found if subject is not None]


def _copy_of(parameter: Tensor, held: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
    """A copy of the parameter's parts, made in ``held`` where that fits."""
    now = parts(parameter)
    if held is None or [(c.shape, c.dtype) for c in held] != [(p.shape, p.dtype) for p in now]:
        return tuple(part.clone() for part in now)
    for copy, part in zip(held, now, strict=True):
        copy.copy_(part)
    return held
