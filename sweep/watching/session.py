"""`watch`: the hooks on while a ``with`` block runs, and off again when it ends."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from torch.optim import Optimizer

from sweep.errors import LeakError, MisuseError, UnknownNameError
from sweep.watching.arrivals import Arrivals
from sweep.watching.findings import Findings, Leak
from sweep.watching.prose import complaint, summary
from sweep.watching.roster import Roster, Watchable, check_optimizers
from sweep.watching.stepping import Question, Stepping

if TYPE_CHECKING:
    import pandas as pd

Granularity = Literal["parameter", "row"]
_GRANULARITIES = ("parameter", "row")
_WATCHED: weakref.WeakSet[Optimizer] = weakref.WeakSet()


def watch(
    model: Watchable,
    *optimizers: Optimizer,
    frozen: Iterable[str] | None = None,
    zeros_count: bool = True,
    granularity: Granularity = "parameter",
    causes: bool = True,
) -> Watch:
    """A context manager that finds the parameters which ``step()`` moves without a gradient.

    A leak is a parameter that a step changed though no gradient reached it since the same
    optimizer's step before. Training goes on bit for bit as it would without.

    Args:
        model: a module, or named parameters (pairs or a mapping).
        optimizers: those whose steps are looked at. Parameters of theirs that are not the
            model's are not watched.
        frozen: names of parameters, or of modules for all their parameters, that must not
            move on any step, even if a gradient reaches them.
        zeros_count: whether a gradient that is all zeros counts as one that reached the
            parameter. False is right under DDP, which hands zeros to unused parameters, and
            where a hook or a mask zeroes gradients.
        granularity: ``"row"`` judges each index of a parameter's first dimension by itself,
            such as the embedding of a word that was in no batch.
        causes: whether the first leak of each parameter is explained, by rehearsing on
            copies, one parameter at a time, the steps that may show it.

    Raises:
        MisuseError: an optimizer that is none, that has none of the model's parameters, or
            that another watch already looks at; a model without names.
        UnknownNameError: names in ``frozen`` that the model lacks, with the nearest; an
            unknown granularity.
    """
    if granularity not in _GRANULARITIES:
        raise UnknownNameError("granularity", str(granularity), _GRANULARITIES)
    roster = Roster(model)
    check_optimizers(optimizers, roster)
    question = Question(
        frozen=frozenset() if frozen is None else roster.resolve(frozen),
        zeros_count=zeros_count,
        rows=granularity == "row",
        causes=causes,
    )
    return Watch(roster, optimizers, question)


class Watch:
    """What `watch` returns: a context manager that holds what was found, during and after.

    Attributes:
        findings: every leak and how each parameter fared, as plain values.
        seconds: how long the block ran.
    """

    def __init__(
        self, roster: Roster, optimizers: tuple[Optimizer, ...], question: Question
    ) -> None:
        self.findings = Findings()
        self.seconds = 0.0
        self._roster = roster
        self._optimizers = tuple(dict.fromkeys(optimizers))
        self._question = question
        self._arrivals: Arrivals | None = None
        self._steppings: list[Stepping] = []
        self._started = 0.0

    def __enter__(self) -> Self:
        if self._arrivals is not None:
            raise MisuseError("A watch is entered once; call watch(...) again for another.")
        for optimizer in self._optimizers:
            if optimizer in _WATCHED:
                raise MisuseError(
                    f"This {type(optimizer).__name__} is being watched already. One watch of an "
                    f"optimizer at a time: end the other one first, or use what it finds."
                )
        self._started = time.perf_counter()
        _WATCHED.update(self._optimizers)
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
        """Every leak so far, parameter by parameter, in the order in which they first leaked."""
        return tuple(self.findings.leaks())

    @property
    def held_bytes(self) -> int:
        """The size of the copies of parameters that are held now; 0 once the block has ended."""
        return sum(stepping.held_bytes for stepping in self._steppings)

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
        return summary(self.findings, watched=len(list(self._roster)))

    def raise_if_any(self) -> None:
        """Raises LeakError if anything leaked, naming parameters, causes and remedies."""
        leaking = tuple(dict.fromkeys(leak.parameter for leak in self.leaks))
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
            optimizers=self._optimizers,
            question=self._question,
            seconds=self.seconds or time.perf_counter() - self._started,
        )

    def _put_hooks_on(self) -> None:
        question = self._question
        self._arrivals = Arrivals(rows=question.rows, zeros_count=question.zeros_count)
        for _, parameter in self._roster:
            self._arrivals.follow(parameter)
        for index, optimizer in enumerate(self._optimizers):
            self._steppings.append(
                Stepping(index, optimizer, self._roster, self._arrivals, question, self.findings)
            )

    def _take_hooks_off(self) -> None:
        for stepping in self._steppings:
            stepping.remove()
        if self._arrivals is not None:
            self._arrivals.remove()
        _WATCHED.difference_update(self._optimizers)
