"""Neighbours of a trial: one axis changed, run for real to see whether the verdict changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from sweep.grid import refusal
from sweep.optimizers import registry
from sweep.trial.trial import run_trial
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Axis, Freeze, Verdict, ZeroGrad

AGAINST_A_LEAK: tuple[tuple[Axis, Any], ...] = (
    (Axis.ZERO_GRAD, ZeroGrad.NONE),
    (Axis.FREEZE, Freeze.GRAD_NONE),
    (Axis.FREEZE, Freeze.OWN_OPTIMIZER),
    (Axis.MOMENTUM, 0.0),
    (Axis.WEIGHT_DECAY, 0.0),
)
"""What to try against a leak, simplest first."""

RISKS: tuple[tuple[Axis, Any], ...] = (
    (Axis.ZERO_GRAD, ZeroGrad.NONE),
    (Axis.ZERO_GRAD, ZeroGrad.ZERO),
    (Axis.ZERO_GRAD, ZeroGrad.NEVER),
    (Axis.FREEZE, Freeze.DETACH),
)
"""What to try on a trial that holds, to see what it owes its stillness to."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The same trial with one axis changed, or with a few changed together.

    Attributes:
        changes: the axes changed, as ``AXIS=VALUE``.
        outcome: what it then showed.
    """

    changes: tuple[str, ...]
    outcome: Outcome


def neighbours(planned: PlannedTrial, *, leaks: bool, device: str) -> tuple[Variant, ...]:
    """Each change that applies to ``planned``, run: of a leak remedies, else `RISKS`.

    Remedies are combined, too, where none holds alone.
    """
    candidates = [each for each in (AGAINST_A_LEAK if leaks else RISKS) if _applies(planned, *each)]
    tried: list[Variant] = []
    for together in range(1, len(candidates) + 1):
        sets = (each for each in combinations(candidates, together) if len(dict(each)) == together)
        tried += [_run(planned, changes, device) for changes in sets]  # an axis changes once
        if not leaks or any(variant.outcome.verdict is Verdict.HOLDS for variant in tried):
            break
    return tuple(tried)


def _applies(planned: PlannedTrial, axis: Axis, value: Any) -> bool:
    """Whether it changes the setting and the optimizer can have it."""
    freeze = value if axis is Axis.FREEZE else planned.setting.freeze
    entry = registry.lookup(planned.setting.optimizer)
    differs = getattr(planned.setting, axis) not in (None, value)
    return differs and refusal(entry, freeze, planned.workload) is None


def _run(planned: PlannedTrial, changes: Sequence[tuple[Axis, Any]], device: str) -> Variant:
    changed = {axis.value: value for axis, value in changes}
    setting = replace(planned.setting, **changed)
    named = tuple(f"{axis}={_shown(value)}" for axis, value in changed.items())
    return Variant(named, run_trial(replace(planned, setting=setting), device=device))


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
