"""All that is on while a watch is: hooks on parameters and optimizers, and what they feed.

When it ends, what was found stays as plain values, and every tensor, module and optimizer is
let go of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from torch.optim import Optimizer

from sweep.errors import MisuseError
from sweep.watching.account import Account
from sweep.watching.advice import Loop
from sweep.watching.arrivals import Arrivals
from sweep.watching.cases import Question
from sweep.watching.elsewhere import Elsewhere
from sweep.watching.families import Family
from sweep.watching.findings import Findings
from sweep.watching.guard import Guard
from sweep.watching.hyperparameters import Facts, class_address, facts_about
from sweep.watching.ledger import Ledger
from sweep.watching.marks import Marks
from sweep.watching.roster import Roster, Subject
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
        self._marks = Marks()
        self._arrivals = Arrivals(rows=question.rows, safely=self._guard.one)
        self._elsewhere = Elsewhere(roster, self._marks, self._guard, question.frozen)
        self._steppings: list[Stepping] = []
        self._closed: tuple[Account, dict[tuple[int, str], Facts]] | None = None

    @property
    def members(self) -> list[Optimizer]:
        """Every optimizer whose steps are looked at."""
        return [member for family in self._families for member in family.hooked]

    @property
    def held_bytes(self) -> int:
        """The size of what is held of parameters now."""
        copies = sum(stepping.held_bytes for stepping in self._steppings)
        return copies + self._marks.held_bytes

    def begin(self) -> None:
        """Puts the hooks on."""
        shared = Shared(
            self._roster,
            self._arrivals,
            self._marks,
            self._guard,
            self.question,
            self.findings,
            self._look_around,
        )
        self._listen()
        for index, family in enumerate(self._families):
            stepping = Stepping(index, family, shared)
            self._steppings.append(stepping)
            family.listen(stepping)
        self._elsewhere.listen(self._is_watched, self._moved_outside)
        self._look_elsewhere()

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
        self._marks.forget_all()
        self._roster.let_go()
        self._families, self._steppings = [], []

    def settle(self) -> None:
        """Judges a step that raised, which no hook tells of."""
        for family in self._families:
            family.settle()

    def account(self) -> Account:
        """How everything fared so far."""
        if self._closed is not None:
            return self._closed[0]
        self.settle()
        return Ledger(
            self._roster,
            self._families,
            self.findings,
            self.question,
            self._arrivals,
            self._elsewhere,
            self.loop,
        ).account()

    def facts(self) -> dict[tuple[int, str], Facts]:
        """What is recorded of the optimizers' settings, by optimizer and parameter."""
        if self._closed is not None:
            return self._closed[1]
        subjects = {subject.name: subject.parameter for subject in self._roster}
        return {
            (index, name): facts_about(self._families[index].hooked[-1], subjects[name])
            for (index, name), record in self.findings.records.items()
            if record.still.steps and name in subjects
        }

    def _look_around(self) -> None:
        """Reads the model again where it has changed; then looks at what no optimizer holds."""
        renamed = self._roster.refresh()
        if renamed is not None:
            self._rename(renamed)
            for wish in (self.question.frozen, self.question.trainable):
                wish.refresh(self._roster)
            self._let_go_of_what_left()
            self._listen()
            for stepping in self._steppings:
                stepping.model_changed()
            self._elsewhere.refresh()
        self._look_elsewhere()

    def _rename(self, renamed: Mapping[str, Subject]) -> None:
        """Keeps what an optimizer holds by the name that it has now.

        What an optimizer holds no longer leaves its record to what replaced it.
        """
        for index, family in enumerate(self._families):
            held = {id(parameter) for parameter in family.parameters}
            names = {n: s.name for n, s in renamed.items() if id(s.parameter) in held}
            self.findings.rename(index, names)

    def _look_elsewhere(self) -> None:
        held = [subject for stepping in self._steppings for subject in stepping.held]
        self._elsewhere.look(held)

    def _let_go_of_what_left(self) -> None:
        held = {id(p) for family in self._families for p in family.parameters}
        for subject in list(self._roster):
            if not subject.in_model and id(subject.parameter) not in held:
                self._roster.forget(subject)
                self._arrivals.forget(subject.parameter)
                self._marks.forget([id(subject.parameter)])

    def _listen(self) -> None:
        for subject in self._roster:
            listen = partial(self._arrivals.listen, subject.parameter)
            self._guard.one(subject.parameter, listen)

    def _is_watched(self, optimizer: Optimizer) -> bool:
        """Whether it is a watched one, or steps inside the step of one."""
        if any(optimizer is member for member in self.members):
            return True
        return any(family.is_stepping for family in self._families)

    def _moved_outside(self, moved: Iterable[int]) -> None:
        keys = set(moved)
        for stepping in self._steppings:
            stepping.note_outside(keys)


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
