"""The sum of a trial: what the probe saw at each step, folded into one `Measurement`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sweep.trial.probe import Change
from sweep.values.outcome import Measurement, StepRecord
from sweep.values.words import GradState, Verdict


@dataclass(slots=True)
class Tally:
    """Counts and sums over the steps so far.

    ``trace`` says whether a `StepRecord` of each is kept in ``steps``.
    """

    trace: bool = False
    steps: list[StepRecord] = field(default_factory=list)
    frozen_steps: int = 0
    leaked_steps: int = 0
    first_leak_step: int | None = None
    attached_steps: int = 0
    attached_moves: int = 0
    drifts: list[float] = field(default_factory=list)
    total_drift: float = 0.0
    attached_motion: float = 0.0
    initial_loss: float | None = None
    final_loss: float = math.nan
    finite: bool = True

    def add(
        self,
        step: int,
        *,
        frozen: bool,
        losses: list[float] | None,
        grad: GradState,
        change: Change,
        score: float | None = None,
    ) -> None:
        """Adds one step: the losses of its forward passes, the grad it met, the change it made.

        ``losses`` may be None on a step that is neither the first nor the last, where they are
        finite and not traced. ``score`` is the model's after it, where it was asked for.
        """
        if losses is not None:
            self.final_loss = losses[0]
            self.initial_loss = losses[0] if self.initial_loss is None else self.initial_loss
            self.finite = self.finite and all(map(math.isfinite, losses))
        if frozen:
            self._add_frozen(step, change)
        else:
            self.attached_steps += 1
            self.attached_moves += change.moved
            self.attached_motion += change.l2
        if self.trace:
            record = StepRecord(
                step=step,
                frozen=frozen,
                loss=null_if_nan(self.final_loss),
                grad=grad,
                moved=change.moved,
                max_change=null_if_nan(change.max_change),
                score=score,
            )
            self.steps.append(record)

    def _add_frozen(self, step: int, change: Change) -> None:
        self.frozen_steps += 1
        if not change.moved:
            return
        self.leaked_steps += 1
        if self.first_leak_step is None:
            self.first_leak_step = step
        self.drifts.append(change.max_change)
        self.total_drift += change.l2

    @property
    def verdict(self) -> Verdict:
        """What the trial showed."""
        if self.leaked_steps:
            return Verdict.LEAKS
        if self.attached_steps and not self.attached_moves:
            return Verdict.INERT
        return Verdict.HOLDS

    def measurement(
        self,
        *,
        finite_parameters: bool,
        frozen_norm: float | None = None,
        score: float | None = None,
    ) -> Measurement:
        """The sums as a value; ``finite_parameters`` is whether every parameter ended finite."""
        ratio = self.total_drift / self.attached_motion if self.attached_motion else math.nan
        return Measurement(
            frozen_steps=self.frozen_steps,
            leaked_steps=self.leaked_steps,
            first_leak_step=self.first_leak_step,
            max_drift=self._max_drift(),
            total_drift=null_if_nan(self.total_drift),
            attached_motion=null_if_nan(self.attached_motion),
            drift_ratio=null_if_nan(ratio),
            initial_loss=None if self.initial_loss is None else null_if_nan(self.initial_loss),
            final_loss=null_if_nan(self.final_loss),
            diverged=not (self.finite and finite_parameters),
            score=score,
            frozen_norm=None if frozen_norm is None else null_if_nan(frozen_norm),
        )

    def _max_drift(self) -> float | None:
        """The largest drift that is a number; None where each of them is NaN."""
        if not self.drifts:
            return 0.0
        return max((drift for drift in self.drifts if not math.isnan(drift)), default=None)


def null_if_nan(value: float) -> float | None:
    """``value``, or None if it is NaN; infinity stays."""
    return None if math.isnan(value) else value
