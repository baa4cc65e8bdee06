"""Neighbours of a trial: one axis changed, run for real to see whether the verdict changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from sweep.grid import refusal
from sweep.optimizers import registry
from sweep.trial.trial import run_trial
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Axis, Freeze, Verdict, ZeroGrad

Changes = Mapping[Axis, Any]

AGAINST_A_LEAK: tuple[Changes, ...] = (
    {Axis.ZERO_GRAD: ZeroGrad.NONE},
    {Axis.FREEZE: Freeze.GRAD_NONE},
    {Axis.FREEZE: Freeze.OWN_OPTIMIZER},
    {Axis.MOMENTUM: 0.0},
    {Axis.WEIGHT_DECAY: 0.0},
)
"""What to try against a leak, simplest first."""

RISKS: tuple[Changes, ...] = (
    {Axis.ZERO_GRAD: ZeroGrad.NONE},
    {Axis.ZERO_GRAD: ZeroGrad.ZERO},
    {Axis.ZERO_GRAD: ZeroGrad.NEVER},
    {Axis.FREEZE: Freeze.DETACH},
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


def tried_remedies(planned: PlannedTrial, device: str) -> tuple[Variant, ...]:
    """Each remedy that applies to ``planned``, run; combinations too where none holds alone."""
    candidates = list(_applicable(planned, AGAINST_A_LEAK))
    tried = [_run(planned, changes, device) for changes in candidates]
    for together in range(2, len(candidates) + 1):
        if any(variant.outcome.verdict is Verdict.HOLDS for variant in tried):
            break
        combined = _combined(candidates, together)
        tried += [_run(planned, changes, device) for changes in combined]
    return tuple(tried)


def risks(planned: PlannedTrial, device: str) -> tuple[Variant, ...]:
    """Each change that applies to ``planned`` after which it might leak, run."""
    return tuple(_run(planned, changes, device) for changes in _applicable(planned, RISKS))


def _applicable(planned: PlannedTrial, candidates: Iterable[Changes]) -> Iterator[Changes]:
    """Those that change the setting and that the optimizer can have."""
    entry = registry.lookup(planned.setting.optimizer)
    for changes in candidates:
        differs = all(
            value != getattr(planned.setting, axis) and getattr(planned.setting, axis) is not None
            for axis, value in changes.items()
        )
        freeze = changes.get(Axis.FREEZE, planned.setting.freeze)
        if differs and refusal(entry, freeze, planned.workload) is None:
            yield changes


def _combined(candidates: Iterable[Changes], together: int) -> Iterator[Changes]:
    """Every union of ``together`` of the candidates, no two of which change the same axis."""
    for chosen in combinations(candidates, together):
        union = {axis: value for changes in chosen for axis, value in changes.items()}
        if len(union) == sum(map(len, chosen)):
            yield union


def _run(planned: PlannedTrial, changes: Changes, device: str) -> Variant:
    changed = {str(axis): value for axis, value in changes.items()}
    setting = replace(planned.setting, **changed)
    named = tuple(f"{axis}={_shown(value)}" for axis, value in changed.items())
    return Variant(named, run_trial(replace(planned, setting=setting), device=device))


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
