"""An explanation as a value: what was replayed and tried, before it is put into words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from sweep.trial.causes import Movements
from sweep.trial.probe import Change
from sweep.trial.replay import MetGrad
from sweep.values.outcome import Causes, Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Verdict


class Source(StrEnum):
    """One source of movement, as people read it."""

    HISTORY = "history"
    DECAY = "weight decay"
    GRADIENT = "the gradient"
    INTRINSIC = "a term of its own"


@dataclass(frozen=True, slots=True)
class Share:
    """What one source does alone.

    Attributes:
        source: the source left on.
        change: what it does with every other source off.
        of_whole: the L2 norm of that, over the L2 norm of the whole movement. Sources can
            strengthen or oppose each other, so shares need not add to 1. NaN where the
            whole is none or not finite.
    """

    source: Source
    change: Change
    of_whole: float


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """One frozen step, replayed.

    Attributes:
        step: which, counting from 0.
        grad: what the optimizer found in the layer's grad.
        movements: what the step did, as it was and with one source at a time.
        with_zeros: what it does with zeros in place of the grad, all else as it was.
        attached: what it does where the schedule does not freeze it.
    """

    step: int
    grad: MetGrad
    movements: Movements
    with_zeros: Change
    attached: Change

    @property
    def whole(self) -> Change:
        """The movement that sources are held against: the leak, or that which zeros would make."""
        return self.movements.whole if self.movements.whole.moved else self.with_zeros

    @property
    def shares(self) -> tuple[Share, ...]:
        """What each source does alone, the largest first."""
        alone = {
            Source.HISTORY: self.movements.history,
            Source.DECAY: self.movements.decay,
            Source.GRADIENT: self.movements.gradient,
            Source.INTRINSIC: self.movements.intrinsic,
        }
        found = [Share(s, c, ratio(c.l2, self.whole.l2)) for s, c in alone.items()]
        return tuple(sorted(found, key=_by_size, reverse=True))


@dataclass(frozen=True, slots=True)
class Variant:
    """The same trial with one axis changed, or with a few changed together.

    Attributes:
        changes: the axes changed, as ``AXIS=VALUE``.
        verdict: what it then showed.
        moved_by: what moved the layer at the first leak, if it leaked.
    """

    changes: tuple[str, ...]
    verdict: Verdict
    moved_by: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one trial leaked or held.

    Attributes:
        planned: the trial.
        outcome: what it showed when it was run for this explanation.
        layer: the names of the parameters that the schedule freezes.
        replayed: the first leaking step; where none leaked, the first frozen step after an
            attached one, or else the first frozen step. None without frozen steps, and for
            trials that failed or are inert.
        variants: neighbours that were run: for a leak, remedies; for a trial that holds,
            changes after which it might leak. Simplest first.
    """

    planned: PlannedTrial
    outcome: Outcome
    layer: tuple[str, ...] = ()
    replayed: ReplayedStep | None = None
    variants: tuple[Variant, ...] = ()


def sources_of(causes: Causes | None) -> tuple[Source, ...]:
    """The sources that ``causes`` names; none for a trial that did not leak."""
    if causes is None:
        return ()
    named = {
        Source.HISTORY: causes.by_history,
        Source.DECAY: causes.by_decay,
        Source.GRADIENT: causes.by_gradient,
        Source.INTRINSIC: causes.by_intrinsic,
    }
    return tuple(source for source, moves in named.items() if moves)


def ratio(part: float, whole: float) -> float:
    """``part`` over ``whole``; NaN where the whole is none or not finite."""
    return part / whole if whole and math.isfinite(whole) else math.nan


def _by_size(share: Share) -> tuple[bool, float]:
    return share.change.moved, share.change.l2 if math.isfinite(share.change.l2) else math.inf
