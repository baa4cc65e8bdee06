"""An explanation as a value: what was replayed and tried, before it is put into words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweep.trial.causes import INTRINSIC, Movements, name_of
from sweep.trial.probe import Change
from sweep.values.outcome import Causes, Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import GradState, Verdict


@dataclass(frozen=True, slots=True)
class MetGrad:
    """What the optimizer found in the frozen parameters' grads.

    ``stale`` is whether they were left there by an earlier step, bit for bit.
    """

    state: GradState
    stale: bool


@dataclass(frozen=True, slots=True)
class Share:
    """What a set of sources does by itself.

    Attributes:
        name: the sources left on, as the column ``causes`` names them.
        change: what they do with every other source off.
        of_whole: the L2 norm of that, over the L2 norm of the whole movement. Sources can
            strengthen or oppose each other, so shares need not add to 1. NaN where the
            whole is none or not finite.
    """

    name: str
    change: Change
    of_whole: float


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """One frozen step, replayed.

    Attributes:
        step: which, counting from 0.
        grad: what the optimizer found in the layer's grad.
        as_it_was: what the step did.
        movements: what its sources do, together and by themselves; for a layer that kept still
            with a grad of None, what they would do had it been zeros. None where that could not
            be found out, and for a layer that kept still with a grad that is not zero.
        unexplained: why the movements could not be found out.
        attached: what the step does where the schedule does not freeze it; None where that was
            not asked, or cannot be told.
    """

    step: int
    grad: MetGrad
    as_it_was: Change
    movements: Movements | None
    unexplained: str | None
    attached: Change | None

    @property
    def supposed(self) -> bool:
        """Whether the movements are those of a step whose grad would be zeros, not None."""
        return self.grad.state is GradState.NONE and not self.as_it_was.moved

    @property
    def whole(self) -> Change:
        """The movement that sources are held against: the leak, or that which zeros would make."""
        return self.as_it_was if self.movements is None else self.movements.whole

    @property
    def shares(self) -> tuple[Share, ...]:
        """What each source does by itself, and each cause; the largest first."""
        if self.movements is None:
            return ()
        moved = self.movements
        alone = {frozenset({source}): change for source, change in moved.alone.items()}
        changes = {
            name_of(sources): change for sources, change in (alone | dict(moved.sets)).items()
        }
        found = [self.share(n, change) for n, change in changes.items()]
        if moved.intrinsic.moved:
            found.append(self.share(INTRINSIC, moved.intrinsic))
        return tuple(sorted(found, key=_by_size, reverse=True))

    def share(self, name: str, change: Change) -> Share:
        """``change`` as a share of the whole."""
        whole = self.whole.l2
        of_whole = change.l2 / whole if whole and math.isfinite(whole) else math.nan
        return Share(name, change, of_whole)


@dataclass(frozen=True, slots=True)
class Variant:
    """The same trial with one axis changed, or with a few changed together.

    Attributes:
        changes: the axes changed, as ``AXIS=VALUE``.
        verdict: what it then showed.
        causes: what moved the layer at the first leak, if it leaked and that could be found.
        first_leak_step: which step that was; None where none leaked.
    """

    changes: tuple[str, ...]
    verdict: Verdict
    causes: Causes | None
    first_leak_step: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one trial leaked or held.

    Attributes:
        planned: the trial.
        outcome: what it showed when it was run for this explanation.
        layer: the names of the parameters that the schedule freezes.
        replayed: the first leaking step; where none leaked, the first frozen step after an
            attached one, or else the first frozen step. None without frozen steps, for trials
            that failed or are inert, and where that step could not be lived through again.
        unexplained: why it could not.
        variants: neighbours that were run: for a leak, remedies; for a trial that holds,
            changes after which it might leak. Simplest first.
    """

    planned: PlannedTrial
    outcome: Outcome
    layer: tuple[str, ...] = ()
    replayed: ReplayedStep | None = None
    unexplained: str | None = None
    variants: tuple[Variant, ...] = ()


def _by_size(share: Share) -> tuple[bool, float]:
    return share.change.moved, share.change.l2 if math.isfinite(share.change.l2) else math.inf
