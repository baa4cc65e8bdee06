"""What moved the layer: each source of movement tried alone on one replayed step.

Derived from replays, never from what an optimizer is known to do. The sources and their
columns are defined in README.md's glossary.
"""

from __future__ import annotations

from sweep.outcome import Causes
from sweep.probe import change_between
from sweep.replay import (
    AS_IT_WAS,
    DECAY_ALONE,
    GRADIENT_ALONE,
    HISTORY_ALONE,
    NO_GRAD,
    NOTHING,
    Parameters,
    Replay,
    Sources,
)


def attribute(replay: Replay, step: int, frozen: frozenset[str]) -> Causes:
    """Which sources move the ``frozen`` parameters on ``step``, each with the others off.

    A source is a cause if it moves them alone. Where the optimizer moves them with every
    source off, another source is a cause if it changes that movement.
    """
    before = replay.before(step)
    with_nothing = replay.after(step, NOTHING)
    baseline = with_nothing if _differ(before, with_nothing, frozen) else before

    def moves_alone(source: Sources) -> bool:
        return _differ(baseline, replay.after(step, source), frozen)

    return Causes(
        by_history=moves_alone(HISTORY_ALONE),
        by_decay=bool(replay.planned.setting.weight_decay) and moves_alone(DECAY_ALONE),
        by_gradient=moves_alone(GRADIENT_ALONE),
        by_intrinsic=baseline is with_nothing,
        despite_none=_differ(before, replay.after(step, NO_GRAD), frozen),
    )


def moves_others(replay: Replay, step: int, frozen: frozenset[str]) -> bool:
    """Whether the other parameters would move differently on ``step``, were the grad None."""
    as_it_was = replay.after(step, AS_IT_WAS)
    return _differ(as_it_was, replay.after(step, NO_GRAD), frozenset(as_it_was) - frozen)


def _differ(one: Parameters, other: Parameters, names: frozenset[str]) -> bool:
    return any(change_between(one[name], other[name]).moved for name in names)
