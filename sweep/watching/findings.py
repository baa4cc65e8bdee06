"""What a watch found: the leaks, and how each parameter fared, as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sweep.trial.probe import Change
from sweep.trial.tally import null_if_nan
from sweep.values.outcome import Causes, Measurement
from sweep.values.words import GradState

UNKNOWN = "unknown"
_WORDS = {
    "by_history": "history",
    "by_decay": "decay",
    "by_gradient": "gradient",
    "by_intrinsic": "intrinsic",
    "despite_none": "despite None",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What moved a parameter, as far as it was found out.

    Attributes:
        causes: what replaying the step showed; None if that could not be done.
        despite_none: it moved although its grad was None, which needs no replaying.
    """

    causes: Causes | None
    despite_none: bool = False

    def __str__(self) -> str:
        """The causes as a list of words, as the database's view ``leak`` has them."""
        if self.causes is None:
            return _WORDS["despite_none"] if self.despite_none else UNKNOWN
        named = [word for column, word in _WORDS.items() if getattr(self.causes, column)]
        return ", ".join(named) or UNKNOWN


@dataclass(frozen=True, slots=True)
class Leak:
    """One parameter that one step moved though it was to keep still.

    Attributes:
        parameter: its name.
        optimizer: which of the watched optimizers, counting from 0.
        step: which of that optimizer's steps under watch, counting from 0.
        change: how far it moved; where rows are watched, those rows alone.
        grad: what the optimizer found in its grad.
        rows: the rows that moved, in order; None where whole parameters are watched.
        explanation: why; None for all but a parameter's first leak, which alone is explained.
        arrived: whether its grad came since the step before, and was not left from earlier or
            zeroed: it was asked to keep still all the same, or the grad is all zeros.
    """

    parameter: str
    optimizer: int
    step: int
    change: Change
    grad: GradState
    rows: tuple[int, ...] | None = None
    explanation: Explanation | None = None
    arrived: bool = False


@dataclass(slots=True)
class Record:
    """How one parameter fared under one optimizer.

    Attributes:
        quiet_steps: steps on which it was to keep still.
        grad: what the optimizer found in its grad at the first leak, or else at the first of
            the quiet steps.
        leaks: those on which it moved, in order.
    """

    quiet_steps: int = 0
    grad: GradState | None = None
    leaks: list[Leak] = field(default_factory=list)

    @property
    def explanation(self) -> Explanation | None:
        """The first explanation that says something, or else the first; None if it held."""
        given = [leak.explanation for leak in self.leaks if leak.explanation is not None]
        telling = [each for each in given if str(each) != UNKNOWN]
        return next(iter(telling or given), None)

    def measurement(self, *, finite: bool) -> Measurement:
        """The sums as the database keeps them; steps with a gradient were not measured."""
        drifts = [leak.change.max_change for leak in self.leaks]
        numbers = [drift for drift in drifts if null_if_nan(drift) is not None]
        return Measurement(
            frozen_steps=self.quiet_steps,
            leaked_steps=len(self.leaks),
            first_leak_step=self.leaks[0].step if self.leaks else None,
            max_drift=max(numbers, default=None) if drifts else 0.0,
            total_drift=null_if_nan(sum(leak.change.l2 for leak in self.leaks)),
            attached_motion=None,
            drift_ratio=None,
            initial_loss=None,
            final_loss=None,
            diverged=not finite,
        )


@dataclass(slots=True)
class Findings:
    """The records of every parameter under every optimizer; ``steps`` counts each one's steps."""

    records: dict[tuple[int, str], Record] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)

    def record(self, optimizer: int, parameter: str) -> Record:
        """The record of that pair, empty at first."""
        return self.records.setdefault((optimizer, parameter), Record())

    def leaks(self) -> Iterator[Leak]:
        """Every leak, parameter by parameter, in the order in which they first leaked."""
        leaking = [record for record in self.records.values() if record.leaks]
        for record in sorted(leaking, key=lambda each: each.leaks[0].step):
            yield from record.leaks
