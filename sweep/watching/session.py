"""`watch`: the hooks on while a ``with`` block runs, and off again when it ends."""

from __future__ import annotations

import time
import weakref
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from sweep.errors import LeakError, MisuseError, UnknownNameError
from sweep.watching.arrivals import Arrivals
from sweep.watching.families import Family
from sweep.watching.findings import Findings, Leak
from sweep.watching.guard import Guard
from sweep.watching.marks import Marks
from sweep.watching.meant import Frozen, Wish
from sweep.watching.prose import complaint, summary
from sweep.watching.roster import Roster, Watchable
from sweep.watching.stepping import Question, Shared, Stepping

if TYPE_CHECKING:
    import pandas as pd

Granularity = Literal["parameter", "row"]
_GRANULARITIES = ("parameter", "row")
_WATCHED: weakref.WeakSet[Any] = weakref.WeakSet()


def watch(
    model: Watchable,
    *optimizers: Any,
    frozen: Frozen | None = None,
    trainable: Frozen | None = None,
    zeros_count: bool = True,
    granularity: Granularity = "parameter",
    causes: bool = True,
) -> Watch:
    """A context manager that finds the parameters which ``step()`` moves without a gradient.

    A leak is a parameter that a step changed though it found no gradient of that step's own in
    ``.grad``: None, zeros that nothing brought, or what the step before left there. Training
    goes on bit for bit as it would without.

    Args:
        model: a module, or named parameters (pairs or a mapping).
        optimizers: those whose steps are looked at, or wrappers of them. Parameters of theirs
            that are not the model's are not judged.
        frozen: what must not move on any step, even if a gradient reaches it: names of
            parameters, or of modules for all they contain, with ``*`` for anything; modules
            and parameters themselves; or a mapping from names to masks (boolean, of the
            parameter's shape or one value a row; or the numbers of rows) that say which part.
        trainable: what must move, likewise named: `Watch.raise_if_any` tells what did not.
        zeros_count: whether zeros that autograd brings are a gradient, so that what moves on
            them is told of and is no leak. False is right where a hook or a mask zeroes
            gradients in the backward pass, and for parameters that DDP hands zeros.
        granularity: ``"row"`` judges each index of a parameter's first dimension by itself,
            such as the embedding of a word that was in no batch.
        causes: whether leaks are explained, by rehearsing on copies the steps that show them.

    Raises:
        MisuseError: an optimizer that is none, that has none of the model's parameters, or
            that another watch already looks at; a model without names, or one that keeps
            them in flat shards (FSDP1, DeepSpeed); a mask that does not fit.
        UnknownNameError: names that the model lacks, with the nearest; an unknown granularity.
    """
    if granularity not in _GRANULARITIES:
        raise UnknownNameError("granularity", str(granularity), _GRANULARITIES)
    roster = Roster(model)
    families = _families(optimizers, roster)
    question = Question(
        frozen=Wish("frozen", frozen, roster),
        trainable=Wish("trainable", trainable, roster),
        zeros_count=zeros_count,
        rows=granularity == "row",
        causes=causes,
    )
    return Watch(roster, families, question)


def _families(optimizers: tuple[Any, ...], roster: Roster) -> list[Family]:
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


class Watch:
    """What `watch` returns: a context manager that holds what was found, during and after.

    Attributes:
        findings: how each parameter fared, as plain values.
        seconds: how long the block ran.
    """

    def __init__(self, roster: Roster, families: list[Family], question: Question) -> None:
        self.findings = Findings()
        self.seconds = 0.0
        self._roster = roster
        self._families = families
        self._question = question
        self._shared: Shared | None = None
        self._steppings: list[Stepping] = []
        self._started = 0.0

    def __enter__(self) -> Self:
        if self._shared is not None:
            raise MisuseError("A watch is entered once; call watch(...) again for another.")
        members = [member for family in self._families for member in family.hooked]
        for member in members:
            if member in _WATCHED:
                raise MisuseError(
                    f"This {type(member).__name__} is being watched already. One watch of an "
                    f"optimizer at a time: end the other one first, or use what it finds."
                )
        self._started = time.perf_counter()
        _WATCHED.update(members)
        try:
            self._put_hooks_on()
        except BaseException:
            self._take_hooks_off()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._take_hooks_off()
        self.seconds = time.perf_counter() - self._started

    @property
    def leaks(self) -> tuple[Leak, ...]:
        """The leaks so far, parameter by parameter, in the order in which they first leaked.

        Of each parameter the first hundred are kept, and the later ones counted.
        """
        self._settle()
        return tuple(self.findings.leaks())

    @property
    def held_bytes(self) -> int:
        """The size of what is held of parameters now; 0 once the block has ended."""
        held = sum(stepping.held_bytes for stepping in self._steppings)
        return held + (0 if self._shared is None else self._shared.marks.held_bytes)

    def table(self) -> pd.DataFrame:
        """One row a leak: ``parameter``, ``step``, ``change``, ``grad``, ``cause``, ``optimizer``.

        ``step`` counts that optimizer's steps under watch from 0, ``change`` is the largest
        absolute change of an element, ``cause`` is missing for all but a parameter's first
        leak. Where rows are watched, ``rows`` is the number of rows that moved.
        """
        from sweep.watching.table import table

        return table(self.leaks, with_rows=self._question.rows)

    def summary(self) -> str:
        """What was found, for people: a line for each leaking parameter."""
        return summary(self.findings, watched=len(self._roster.present))

    def raise_if_any(self) -> None:
        """Raises LeakError if anything leaked, naming parameters, causes and remedies."""
        self._settle()
        leaking = tuple(dict.fromkeys(name for _, name in self.findings.leaking()))
        if leaking:
            raise LeakError(complaint(self.findings), parameters=leaking)

    def save(self, url: str, name: str) -> None:
        """Records what was found as the sweep ``name`` of the database at ``url``; commits.

        Each parameter that was to keep still on some step becomes a trial. Raises
        SweepMismatchError where that name is taken, and DatabaseError where the database
        fails.
        """
        from sweep.watching.record import save

        save(
            url,
            name,
            findings=self.findings,
            roster=self._roster,
            optimizers=tuple(family.hooked[-1] for family in self._families),
            question=self._question,
            seconds=self.seconds or time.perf_counter() - self._started,
        )

    def _put_hooks_on(self) -> None:
        guard = Guard(self._roster)
        arrivals = Arrivals(rows=self._question.rows, safely=guard.one)
        self._shared = Shared(
            roster=self._roster,
            arrivals=arrivals,
            marks=Marks(),
            guard=guard,
            question=self._question,
            findings=self.findings,
            refresh=self._refresh,
        )
        for subject in self._roster:
            guard.one(subject.parameter, partial(arrivals.listen, subject.parameter))
        for index, family in enumerate(self._families):
            stepping = Stepping(index, family, self._shared)
            self._steppings.append(stepping)
            family.listen(stepping)

    def _refresh(self) -> None:
        """Reads the model again where it has changed, and lets go of what has left for good."""
        if self._shared is None or not self._roster.refresh():
            return
        for wish in (self._question.frozen, self._question.trainable):
            wish.refresh(self._roster)
        held = {id(p) for family in self._families for p in family.parameters}
        for subject in list(self._roster):
            if not subject.in_model and id(subject.parameter) not in held:
                self._roster.forget(subject)
                self._shared.arrivals.forget(subject.parameter)
                self._shared.marks.forget([id(subject.parameter)])
            else:
                listen = partial(self._shared.arrivals.listen, subject.parameter)
                self._shared.guard.one(subject.parameter, listen)

    def _settle(self) -> None:
        """Judges a step that raised, which no hook tells of."""
        for family in self._families:
            family.settle()

    def _take_hooks_off(self) -> None:
        for family in self._families:
            family.leave()
        for stepping in self._steppings:
            stepping.let_go()
        if self._shared is not None:
            self._shared.arrivals.remove()
            self._shared.marks.forget_all()
        for family in self._families:
            _WATCHED.difference_update(family.hooked)
