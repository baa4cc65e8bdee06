"""All that is on while a watch is: hooks on parameters and optimizers, and what they feed.

When it ends, what was found stays as plain values, and every tensor, module and optimizer is
let go of.
"""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from sweep.errors import MisuseError
from sweep.watching.account import Account, Ledger
from sweep.watching.advice import Loop
from sweep.watching.arrivals import Arrivals
from sweep.watching.cases import Question
from sweep.watching.elsewhere import Elsewhere
from sweep.watching.families import Family
from sweep.watching.findings import Findings
from sweep.watching.guard import Guard
from sweep.watching.hyperparameters import Facts, class_address, facts_about
from sweep.watching.roster import Roster
from sweep.watching.stepping import Shared, Stepping


class Observation:
    """One watch's hooks and counts.

    Attributes:
        question: what is asked.
        findings: what was found, as plain values.
        loop: whose loop it is, which decides what is advised.
        names: the optimizers, as the database has them.
    """

    def __init__(self, roster: Roster, families: list[Family], question: Question) -> None:
        """Puts no hook on yet."""
        self.question = question
        self.findings = Findings()
        self.loop = Loop.OWN
        self.names = [class_address(family.hooked[-1]) for family in families]
        self._roster = roster
        self._families = families
        self._guard = Guard(roster)
        self._arrivals = Arrivals(rows=question.rows, safely=self._guard.one)
        self._shared = Shared(
            roster, self._arrivals, self._guard, question, self.findings, self._look_around
        )
        self._steppings: list[Stepping] = []
        self._elsewhere = Elsewhere(self._shared, self._steppings)
        self._closed: tuple[Account, dict[tuple[int, str], Facts]] | None = None

    @property
    def members(self) -> list[Optimizer]:
        """Every optimizer whose steps are looked at."""
        return [member for family in self._families for member in family.hooked]

    @property
    def held_bytes(self) -> int:
        """The size of what is held of parameters now."""
        copies = sum(stepping.copies.held_bytes for stepping in self._steppings)
        return copies + self._guard.marks.held_bytes

    def begin(self) -> None:
        """Puts the hooks on."""
        self._listen()
        for index, family in enumerate(self._families):
            self._steppings.append(Stepping(index, family, self._shared))
            family.listen(self._steppings[-1])
        self._elsewhere.listen()
        self._elsewhere.look()

    def end(self) -> None:
        """Takes the hooks off, and lets go of all but what was found."""
        for family in self._families:
            family.leave()
        self._elsewhere.leave()
        self._arrivals.remove()
        if self._closed is None:
            self._closed = self.account(), self.facts()
        for stepping in self._steppings:
            stepping.let_go()
        self._guard.marks.forget_all()
        self._roster.let_go()
        self._families.clear()
        self._steppings.clear()

    def settle(self) -> None:
        """Judges a step that raised, which no hook tells of."""
        for family in self._families:
            family.settle()

    def account(self) -> Account:
        """How everything fared so far."""
        if self._closed is not None:
            return self._closed[0]
        self.settle()
        return Ledger(self._shared, self._families, self._elsewhere, self.loop).account()

    def facts(self) -> dict[tuple[int, str], Facts]:
        """What is recorded of the optimizers' settings, by optimizer and parameter."""
        if self._closed is not None:
            return self._closed[1]
        subjects = {subject.name: subject.parameter for subject in self._roster}
        return {
            (index, name): facts_about(self._families[index].hooked[-1], subjects[name], record)
            for (index, name), record in self.findings.records.items()
            if record.still.steps and name in subjects
        }

    def _look_around(self) -> None:
        """Reads the model again where it has changed; then looks at what no optimizer holds."""
        renamed = self._roster.refresh()
        if renamed is not None:
            held = [{id(parameter) for parameter in family.parameters} for family in self._families]
            for index, own in enumerate(held):
                # What an optimizer holds no longer leaves its record to what replaced it.
                names = {n: s.name for n, s in renamed.items() if id(s.parameter) in own}
                self.findings.rename(index, names)
            for wish in (self.question.frozen, self.question.trainable):
                wish.refresh(self._roster)
            self._let_go_of_what_left(set().union(*held))
            self._listen()
            for stepping in self._steppings:
                stepping.makes.forget()  # names and what is meant by them may be others
            self._elsewhere.refresh()
        self._elsewhere.look()

    def _let_go_of_what_left(self, held: set[int]) -> None:
        for subject in list(self._roster):
            if not subject.in_model and id(subject.parameter) not in held:
                self._roster.forget(subject)
                self._arrivals.forget(subject.parameter)
                self._guard.marks.forget([id(subject.parameter)])

    def _listen(self) -> None:
        self._guard.each(self._roster, lambda subject: self._arrivals.listen(subject.parameter))


def families_of(optimizers: tuple[Any, ...], roster: Roster) -> list[Family]:
    """Each optimizer with its wrappers. Raises MisuseError for what cannot be watched."""
    if not optimizers:
        raise MisuseError(
            "watch needs the optimizers whose steps it is to look at: "
            "`with watch(model, optimizer) as leaks:`; none came."
        )
    families = [Family(optimizer) for optimizer in dict.fromkeys(optimizers)]
    for family in families:
        if not any(roster.of(held) for held in family.parameters):
            raise MisuseError(
                f"{family.name} holds none of the model's parameters, so its steps cannot move "
                f"them. Was it built over another model, or over a copy of this one? Build it "
                f"from the parameters of the model that is watched."
            )
    return families
