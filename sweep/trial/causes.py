"""What moved the layer: each source of movement tried alone on one replayed step.

Derived from replays, never from what an optimizer is known to do. The sources and their
columns are defined in README.md's glossary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sweep.trial.probe import Change, change_between, together
from sweep.trial.replay import (
    AS_IT_WAS,
    DECAY_ALONE,
    GRADIENT_ALONE,
    HISTORY_ALONE,
    NO_GRAD,
    NOTHING,
    ZERO_GRAD,
    Parameters,
    Sources,
)
from sweep.values.outcome import Causes


class Replayable(Protocol):
    """A step that can be run again with sources switched off, as `Replay` does."""

    def before(self, step: int) -> Parameters:
        """The parameters just before ``step``."""

    def after(self, step: int, sources: Sources) -> Parameters:
        """The parameters just after ``step``, run with ``sources``."""

    def decay_switches_off(self, step: int) -> bool:
        """Whether weight decay can be switched off in an optimizer that keeps its state."""


@dataclass(frozen=True, slots=True)
class Movements:
    """What one step does to the frozen parameters, as it was and with one source at a time.

    Where the optimizer moves them with every source off (``intrinsic``), the other sources'
    movements are what each adds to that one.

    Attributes:
        whole: the step as it was.
        history, decay, gradient: with that source alone.
        intrinsic: with every source off.
        without_grad: the step as it was, but with the grad set to None.
    """

    whole: Change
    history: Change
    decay: Change
    gradient: Change
    intrinsic: Change
    without_grad: Change

    @property
    def causes(self) -> Causes:
        """Which of them moved anything."""
        return Causes(
            by_history=self.history.moved,
            by_decay=self.decay.moved,
            by_gradient=self.gradient.moved,
            by_intrinsic=self.intrinsic.moved,
            despite_none=self.without_grad.moved,
        )


def movements(replay: Replayable, step: int, frozen: frozenset[str]) -> Movements:
    """What each source does to the ``frozen`` parameters on ``step`` with the others off.

    Where weight decay cannot be switched off in an optimizer that keeps its state, history
    is what its state adds to the movement of weight decay.
    """
    before, with_nothing = replay.before(step), replay.after(step, NOTHING)
    with_decay = replay.after(step, DECAY_ALONE)
    without_history, with_history = with_nothing, HISTORY_ALONE
    if not replay.decay_switches_off(step):
        without_history, with_history = with_decay, ZERO_GRAD
    return Movements(
        whole=difference(before, replay.after(step, AS_IT_WAS), frozen),
        history=difference(without_history, replay.after(step, with_history), frozen),
        decay=difference(with_nothing, with_decay, frozen),
        gradient=difference(with_nothing, replay.after(step, GRADIENT_ALONE), frozen),
        intrinsic=difference(before, with_nothing, frozen),
        without_grad=difference(before, replay.after(step, NO_GRAD), frozen),
    )


def attribute(replay: Replayable, step: int, frozen: frozenset[str]) -> Causes:
    """Which sources move the ``frozen`` parameters on ``step``; see `movements`."""
    return movements(replay, step, frozen).causes


def difference(one: Parameters, other: Parameters, names: frozenset[str]) -> Change:
    """The change from ``one`` to ``other`` of the parameters of those ``names``, as one."""
    return together(change_between(one[name], other[name]) for name in sorted(names))
