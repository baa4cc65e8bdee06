"""What one trial showed, as a value: made by `sweep.trial.trial`, carried by `sweep.driver`,
recorded by `sweep.store`, none of which knows the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sweep.values.setting import PlannedTrial
from sweep.values.words import GradState, Verdict


@dataclass(frozen=True, slots=True)
class Environment:
    """What decides a trial's bits besides its setting: a row of ``environment``.

    None where a row of an older schema cannot say.
    """

    torch: str
    python: str
    system: str | None
    device: str
    threads: int
    leaksweep: str
    machine: str | None = None
    cpu: str | None = None
    cpu_capability: str | None = None
    blas: str | None = None
    blas_mode: str | None = None


@dataclass(frozen=True, slots=True)
class Causes:
    """What moves the layer at the first leaking step; see `sweep.trial.causes`.

    ``sets`` is the column ``causes``: the smallest sets of sources that move the layer. The
    others say in which of them a source is.
    """

    by_history: bool
    by_decay: bool
    by_gradient: bool
    by_intrinsic: bool
    despite_none: bool
    sets: str | None = None


CAUSE_FLAGS = ("by_history", "by_decay", "by_gradient", "by_intrinsic", "despite_none")
"""The columns of `Causes` that are true or false."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of a traced trial: a row of ``step``; ``score`` is the model's after it."""

    step: int
    frozen: bool
    loss: float | None
    grad: GradState
    moved: bool
    max_change: float | None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the probe saw of the layer over a whole trial: columns of ``trial``.

    Each means what `sweep.store.models.TrialRow` says of the column. Drifts are in the
    parameter's own units; NaN is given as None.
    """

    frozen_steps: int
    leaked_steps: int
    first_leak_step: int | None
    max_drift: float | None
    total_drift: float | None
    attached_motion: float | None
    drift_ratio: float | None
    initial_loss: float | None
    final_loss: float | None
    diverged: bool
    score: float | None = None
    frozen_norm: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One finished trial.

    ``measurement`` is None exactly where ``verdict`` is failed, and ``error`` is None
    everywhere else. ``causes`` is None unless the verdict is leaks, and where they could not
    be found, which ``unexplained`` then says why. ``sideways`` is None for failed trials, and
    where no replay could tell. ``proposal`` is what a search keeps of how it came to the trial,
    as JSON.
    """

    planned: PlannedTrial
    environment: Environment
    optimizer_package: str | None
    verdict: Verdict
    measurement: Measurement | None
    causes: Causes | None
    sideways: bool | None
    train_seconds: float
    error: str | None
    finished_at: datetime
    steps: tuple[StepRecord, ...] = ()
    unexplained: str | None = None
    proposal: str | None = None

    @property
    def moved(self) -> bool | None:
        """Whether the layer moved on a frozen step; None if the trial failed."""
        return None if self.measurement is None else self.measurement.leaked_steps > 0
