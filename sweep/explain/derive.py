"""From a trial to its explanation: run it, replay one step, run its neighbours."""

from __future__ import annotations

from functools import partial

from sweep.explain.explanation import Explanation, ReplayedStep
from sweep.explain.variants import remedies, risks
from sweep.trial.causes import difference, movements
from sweep.trial.modes import one_thread
from sweep.trial.replay import ZERO_GRAD, Replay
from sweep.trial.training import Training
from sweep.trial.trial import run_trial
from sweep.values import schedule
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Verdict
from sweep.workloads.built_in import build_workload


def explain(planned: PlannedTrial, *, device: str = "cpu") -> Explanation:
    """Why ``planned`` leaks or holds. Trains it some ten times over; records nothing.

    Never raises what the trial raises: a trial that fails is explained by its error.
    """
    outcome = run_trial(planned, device=device)
    if outcome.verdict in (Verdict.FAILED, Verdict.INERT):
        return Explanation(planned, outcome)
    step = _step_to_replay(outcome)
    with one_thread():
        layer = tuple(build_workload(planned.workload, planned.setting.seed, device).frozen)
        replayed = None if step is None else _replayed(planned, step, frozenset(layer), device)
    leaks = outcome.verdict is Verdict.LEAKS
    variants = (remedies if leaks else risks)(planned, device) if replayed else ()
    return Explanation(planned, outcome, layer, replayed, variants)


def _step_to_replay(outcome: Outcome) -> int | None:
    """The first leak; else the first frozen step that could have met some history."""
    seen = outcome.measurement
    if seen is not None and seen.first_leak_step is not None:
        return seen.first_leak_step
    plan = schedule.parse(outcome.planned.setting.schedule)
    frozen = [step for step in range(outcome.planned.steps) if plan.frozen(step)]
    attached = next((s for s in range(outcome.planned.steps) if not plan.frozen(s)), -1)
    later = [step for step in frozen if step > attached]
    return next(iter(later or frozen), None)


def _replayed(planned: PlannedTrial, step: int, layer: frozenset[str], device: str) -> ReplayedStep:
    replay = Replay(planned, partial(Training, device=device))
    before = replay.before(step)
    return ReplayedStep(
        step=step,
        grad=replay.met_grad(step),
        movements=movements(replay, step, layer),
        with_zeros=difference(before, replay.after(step, ZERO_GRAD), layer),
        attached=difference(before, replay.after_attached(step), layer),
    )
