"""One optimizer under watch: what each of its outermost steps does to what it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor
from torch.optim import Optimizer

from sweep.watching.arrivals import Arrivals
from sweep.watching.cases import Case, Cases, Groups, Question, groups_of
from sweep.watching.closures import has_closure, listening
from sweep.watching.copies import Copies
from sweep.watching.families import Call, Family
from sweep.watching.findings import Cause, Findings, Leak, Record
from sweep.watching.guard import Guard
from sweep.watching.marks import Marks, Moves
from sweep.watching.movement import Movement
from sweep.watching.rehearsals import NOT_ASKED, Rehearsals
from sweep.watching.roster import Roster, Subject
from sweep.watching.states import Grads, State

STEPS_UNTIL_TRUSTED = 2
"""Steps with movement on which version counters must tell of all of it before they are trusted."""


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
        self._makes = Cases(shared.question, self._grads, shared.arrivals)
        self._rehearsals = Rehearsals()
        self._cases: dict[int, Case] | None = None
        self._groups: Groups = {}
        self._so_far = Moves()  # what the step at hand had moved when its closure had run
        self._looked_at = 0  # on the clock of the arrivals
        self._copies = Copies()
        self._steps_that_counted = 0
        shared.findings.steps.append(0)
        self._meet()
        self._grads.begin([subject.parameter for subject in self.held])
        self._mark(trusted=False)

    @property
    def held_bytes(self) -> int:
        """The size of the copies that are held now."""
        return self._copies.held_bytes

    def let_go(self) -> None:
        """Lets go of every tensor."""
        self._cases, self.held, self._groups = None, [], {}
        self._makes.forget_all_but([])
        self._copies.let_go()
        self._rehearsals.forget()

    def model_changed(self) -> None:
        """Takes up every parameter anew, as names and what is meant by them may be others."""
        self._makes.forget()

    def note_outside(self, moved: set[int]) -> None:
        """Notes that something else than this family's steps moved those tensors."""
        for subject in self.held if moved else ():
            if id(subject.parameter) in moved:
                self._record(subject).outside += 1

    def begins(self) -> None:
        """Notes what has moved since the step before."""
        self._shared.guard.step(self._begin, self.held)

    def reaches(self, inner: Optimizer, call: Call) -> Call | None:
        """Looks at the grads; where there is a closure, as soon as that has brought them.

        A step that asks other processes is not rehearsed: the one inside it is, if there is one.
        """

        def look(with_call: Call) -> None:
            self._shared.guard.step(lambda: self._look(inner, with_call), self.held)

        def look_late(with_call: Call) -> None:
            self._shared.guard.step(self._note_moves, self.held)
            if not self._so_far.moved or not self._wraps:
                look(with_call)

        if has_closure(*call):
            return listening(*call, look_late)
        if not (self._wraps and _asks_others(inner)):
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
        self._groups, self._looked_at = groups_of(*self.family.hooked), self._shared.arrivals.clock
        self._cases = cases = {}
        for subject in self.held:
            key = id(subject.parameter)
            if key not in states:
                continue
            try:
                case = self._makes.of(subject, states[key], self._groups, inner)
            except Exception as error:  # noqa: BLE001  # hooks must not end a training run
                self._shared.guard.give_up(subject, error)
            else:
                if case is not None:
                    cases[key] = case
        unsure = [case for case in cases.values() if case.circumstances and case.known is not False]
        if self._shared.question.causes:
            doubtful = [case for case in unsure if not self._is_explained(case)]
            self._rehearsals.rehearse(inner, call, doubtful)
        wanted = [case for case in cases.values() if self._may_move(case)]
        self._copies.make(wanted, self._shared.guard, by_row=self._shared.question.rows)

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
        for case in self._rehearsals.first(map(self._at_the_end, (self._cases or {}).values())):
            try:
                self._judge(case, moves)
            except Exception as error:  # noqa: BLE001  # as above
                self._shared.guard.give_up(case.subject, error)
        self._leave_grads(self._looked_at if late else None)
        self._rehearsals.forget()
        self._copies.keep_only(moves.moved)
        self._shared.findings.steps[self._index] += 1

    def _at_the_end(self, case: Case) -> Case:
        """The case as it is once the step has ended: a closure may have brought more."""
        arrivals = self._shared.arrivals
        if arrivals.clock == self._looked_at or case.state is State.FRESH:
            return case
        if arrivals.of(case.parameter).time <= self._looked_at:
            return case
        state = self._states([case.subject]).get(id(case.parameter), case.state)
        if state is not State.FRESH:
            return case
        late = self._makes.case(case.subject, state)
        if case.circumstances is not None:
            late.put_in(case.circumstances)
        return late

    def _may_move(self, case: Case) -> bool:
        """Whether a copy is wanted: it moved so before, or nothing says that it keeps still."""
        if case.circumstances is None:
            return False
        if case.where is not None:
            return True
        known = case.known
        if known is None:
            known = self._rehearsals.moves(case.parameter)
        return case.state is not State.NONE if known is None else known

    def _judge(self, case: Case, moves: Moves) -> None:
        record, key = self._record(case.subject), id(case.parameter)
        moved = key in moves.moved or key in moves.remade
        record.states[case.state] += 1
        if moved:
            record.moves[case.state] += 1
        elif case.state is State.FRESH:
            record.at_rate_zero += self._rate_is_zero(case.parameter)
        if not case.matters or case.circumstances is None:
            return
        found = self._movement(case, moved)
        if found is not None:
            moved = found.change.moved
        case.learn(moved=moved)
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
        if not moved or id(case.parameter) in self._so_far.moved:
            return None
        by_row = self._shared.question.rows or case.where is not None
        return self._copies.movement(case, by_row=by_row)

    def _explain(self, case: Case, record: Record) -> Cause | None:
        """Why it moved; None where that has been said already."""
        if record.causes is not None:
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

    def _is_explained(self, case: Case) -> bool:
        return self._record(case.subject).causes is not None

    def _rate_is_zero(self, parameter: Tensor) -> bool:
        found = self._groups.get(id(parameter))
        return found is not None and not found.has_rate

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
        held = [subject for subject in found if subject is not None]
        if held != self.held:
            self.held = held
            self._makes.forget_all_but(held)


def _asks_others(optimizer: Optimizer) -> bool:
    return type(optimizer).__module__.startswith("torch.distributed.")
