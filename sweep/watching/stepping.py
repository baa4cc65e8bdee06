"""One optimizer under watch: what each of its outermost steps does to what it holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch.optim import Optimizer

from sweep.watching.arrivals import Arrivals
from sweep.watching.cases import Case, Cases, Groups, Question, groups_of
from sweep.watching.copies import NOT_MEASURED, Copies
from sweep.watching.families import Call, Family, has_closure, listening
from sweep.watching.findings import Cause, Findings, Leak, Record
from sweep.watching.guard import Guard
from sweep.watching.marks import Moves
from sweep.watching.rehearsals import NOT_ASKED, Rehearsals
from sweep.watching.roster import Roster, Subject
from sweep.watching.states import Grads, State

STEPS_UNTIL_TRUSTED = 2
"""Steps with movement on which version counters must tell of all of it before they are trusted."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the parts of one watch share; ``refresh`` reads the model again if it changed."""

    roster: Roster
    arrivals: Arrivals
    guard: Guard
    question: Question
    findings: Findings
    refresh: Callable[[], None]


class Stepping:
    """Listens to the steps of one family, compares and records.

    Attributes:
        family: the optimizer and what wraps it.
        held: what it holds of the model.
        makes: the cases of its steps.
        copies: of what the step at hand may move.
    """

    def __init__(self, index: int, family: Family, shared: Shared) -> None:
        """Looks at what the family holds now, and remembers what is in the grads."""
        self.family = family
        self.held: list[Subject] = []
        self.copies = Copies()
        self._index = index
        self._shared = shared
        self._guard = shared.guard
        self._grads = Grads(shared.arrivals)
        self.makes = Cases(shared.question, self._grads, shared.arrivals)
        self._rehearsals = Rehearsals()
        self._cases: dict[int, Case] | None = None
        self._groups: Groups = {}
        self._so_far = Moves()  # what the step at hand had moved when its closure had run
        self._looked_at = 0  # on the clock of the arrivals
        self._steps_that_counted = 0
        shared.findings.steps.append(0)
        self._meet()
        self._grads.begin([subject.parameter for subject in self.held])
        self._moves()

    def let_go(self) -> None:
        """Lets go of every tensor."""
        self._cases, self.held, self._groups = None, [], {}
        self.makes.forget()
        self.copies.keep_only(frozenset())
        self._rehearsals.forget()

    def note_outside(self, moved: Collection[int]) -> None:
        """Notes that something else than this family's steps moved those tensors."""
        for subject in self.held if moved else ():
            if id(subject.parameter) in moved:
                self._record(subject).outside += 1

    def begins(self) -> None:
        """Notes what has moved since the step before."""
        self._guard.step(self._begin, self.held)

    def reaches(self, inner: Optimizer, call: Call) -> Call | None:
        """Looks at the grads; where there is a closure, as soon as that has brought them.

        A step that asks other processes is not rehearsed: the one inside it is, if there is one.
        """
        wraps = len(self.family.hooked) > 1

        def look_late(with_call: Call) -> None:
            self._guard.step(self._note_moves, self.held)
            if not self._so_far.moved or not wraps:
                self._look(inner, with_call)

        if has_closure(call):
            return listening(call, look_late)
        if not (wraps and type(inner).__module__.startswith("torch.distributed.")):
            self._look(inner, call)
        return None

    def reaches_inside(self, inner: Optimizer, call: Call) -> None:
        """Looks at the grads again where a closure has brought others since, as SAM's does."""
        is_current = self._cases is not None and self._looked_at == self._shared.arrivals.clock
        if not is_current and not has_closure(call):
            self._guard.step(self._note_moves, self.held)
            self._look(inner, call)

    def ends(self, *, worked: bool, late: bool) -> None:
        """Judges what has moved."""
        self._guard.step(lambda: self._end(worked=worked, late=late), self.held)
        self._cases = None

    def _begin(self) -> None:
        self._shared.refresh()
        self._meet()
        self._cases, self._so_far = None, Moves()
        self.note_outside(self._moves().moved)

    def _look(self, inner: Optimizer, call: Call) -> None:
        self._guard.step(lambda: self._prepare(inner, call), self.held)

    def _prepare(self, inner: Optimizer, call: Call) -> None:
        """Finds the state of each grad, and copies and rehearses what may move by a leak."""
        states = self._states(self.held)
        self._groups, self._looked_at = groups_of(*self.family.hooked), self._shared.arrivals.clock
        self._cases = cases = {}

        def meet(subject: Subject) -> None:
            key = id(subject.parameter)
            if key in states:
                case = self.makes.of(subject, states[key], self._groups, inner)
                if case is not None:
                    cases[key] = case

        self._guard.each(self.held, meet)
        if self._shared.question.causes:
            unsure = [c for c in cases.values() if c.circumstances and c.known is not False]
            doubtful = [case for case in unsure if self._record(case.subject).causes is None]
            self._rehearsals.rehearse(inner, call, doubtful)
        wanted = [case for case in cases.values() if self._may_move(case)]
        self.copies.make(wanted, self._guard, by_row=self._shared.question.rows)

    def _note_moves(self) -> None:
        """Notes what a step has moved before its closure brought the gradients."""
        self._so_far = self._moves(anew=False)

    def _end(self, *, worked: bool, late: bool) -> None:
        if late and self._cases is None:
            return  # it raised before its grads could be looked at
        moves = self._moves()
        if not worked and not moves.moved:
            return  # a wrapper that had nothing to do, as between accumulated batches
        if self._cases is None:
            self._prepare(self.family.hooked[-1], ((), {}))  # its closure was never called
        if moves.unseen:
            self._steps_that_counted = -(2**62)  # version counters are never trusted again
        elif moves.moved:
            self._steps_that_counted += 1
        cases = map(self._at_the_end, (self._cases or {}).values())
        self._guard.each(self._rehearsals.first(cases), partial(self._judge, moves))
        leave = partial(self._grads.leave, ended=self._looked_at if late else None)
        self._guard.all(self.held, leave)
        self._rehearsals.forget()
        self.copies.keep_only(moves.moved)
        self._shared.findings.steps[self._index] += 1

    def _at_the_end(self, case: Case) -> Case:
        """The case as it is once the step has ended: a closure may have brought more."""
        arrivals = self._shared.arrivals
        if arrivals.clock == self._looked_at or case.state is State.FRESH:
            return case
        if arrivals.of(case.parameter).time <= self._looked_at:
            return case
        if self._states([case.subject]).get(id(case.parameter)) is not State.FRESH:
            return case
        late = self.makes.case(case.subject, State.FRESH)
        late.put_in(case.circumstances)
        return late

    def _may_move(self, case: Case) -> bool:
        """Whether a copy is wanted: it moved so before, or nothing says that it keeps still."""
        if case.circumstances is None or case.where is not None:
            return case.circumstances is not None
        known = self._rehearsals.moves(case.parameter) if case.known is None else case.known
        return case.state is not State.NONE if known is None else known

    def _judge(self, moves: Moves, case: Case) -> None:
        record, key, step = self._record(case.subject), id(case.parameter), self._step
        moved = key in moves.moved or key in moves.remade
        record.states[case.state] += 1
        if moved:
            record.moves[case.state] += 1
        elif case.state is State.FRESH:
            group = self._groups.get(key)
            record.at_rate_zero += group is not None and not group.has_rate
        if not case.matters or case.circumstances is None:
            return
        found = NOT_MEASURED
        if moved and key not in self._so_far.moved:
            by_row = self._shared.question.rows or case.where is not None
            found = self.copies.movement(case, by_row=by_row)
            moved = found.change is None or found.change.moved
        case.learn(moved=moved)
        fared = record.still if case.still else record.zeros
        fared.add(step, case.found, moved=moved, change=found.change)
        if record.state is None or (case.still and moved and fared.moved == 1):
            record.state, record.in_part = case.found, case.where is not None
            record.by_hand = case.state is State.LEFT_ZEROS and self._grads.came(case.parameter)
        if moved:
            explanation = self._explain(case, record)
            if case.still:
                leak = Leak(
                    parameter=case.subject.name,
                    optimizer=self._index,
                    step=step,
                    change=found.change,
                    state=case.found,
                    moved_rows=found.rows,
                    explanation=explanation,
                )
                self._shared.findings.keep(record, leak)

    def _explain(self, case: Case, record: Record) -> Cause | None:
        """Why it moved; None where that has been said already."""
        if record.causes is not None:
            return None
        found = Cause(None, NOT_ASKED)
        if self._shared.question.causes:
            found = self._rehearsals.explain(case.parameter)
        if found.causes is None:
            found = replace(found, despite_none=case.state is State.NONE)
            if record.explanation is not None:
                return None
        record.explanation, record.explained_step = found, self._step
        return found

    def _states(self, subjects: Sequence[Subject]) -> dict[int, State]:
        states: dict[int, State] = {}
        for found in self._guard.all(subjects, self._grads.states):
            states |= found
        return states

    def _moves(self, *, anew: bool = True) -> Moves:
        trusted = self._steps_that_counted >= STEPS_UNTIL_TRUSTED
        return self._guard.moves(self.held, trusted=trusted, anew=anew)

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
            self.makes.forget()
