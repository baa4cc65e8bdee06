"""From a trial to its explanation: run it, replay one step, run its neighbours."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from sweep.explain.explanation import Explanation, MetGrad, ReplayedStep
from sweep.explain.variants import risks, tried_remedies
from sweep.trial.causes import Movements, Parameters, difference, movements, tried
from sweep.trial.diary import Witness
from sweep.trial.modes import fresh_modes
from sweep.trial.moment import cloned, copies
from sweep.trial.outside import undisturbed
from sweep.trial.probe import Change
from sweep.trial.reach import Reach
from sweep.trial.replay import Replay, Reruns, fill
from sweep.trial.training import Training, begin
from sweep.trial.trial import run_trial
from sweep.values import schedule
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import GradState, Verdict


def explain(planned: PlannedTrial, *, device: str = "cpu") -> Explanation:
    """Why ``planned`` leaks or holds. Trains it some ten times over; records nothing.

    Never raises what the trial raises, nor what a replay of it raises: a trial that fails is
    explained by its error, and what cannot be replayed is left open, with the reason.
    """
    outcome = run_trial(planned, device=device)
    if outcome.verdict in (Verdict.FAILED, Verdict.INERT):
        return Explanation(planned, outcome)
    step = _step_to_replay(outcome)
    if step is None:
        return Explanation(planned, outcome)
    with fresh_modes(), undisturbed(planned.setting.optimizer) as put_back:
        reach = Reach(planned, partial(begin, put_back, device=device))
        lived = _Lived(reach, outcome, step)
        replayed, unexplained = lived.replayed()
    tried = tried_remedies if outcome.verdict is Verdict.LEAKS else risks
    variants = tried(planned, device)
    return Explanation(planned, outcome, lived.layer, replayed, unexplained, variants)


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


class _Lived:
    """One step of a trial, lived through once more, and what comes of its replays."""

    def __init__(self, reach: Reach, outcome: Outcome, step: int) -> None:
        self._reach, self._outcome, self._step = reach, outcome, step
        self.layer: tuple[str, ...] = ()

    def replayed(self) -> tuple[ReplayedStep | None, str | None]:
        """The step; or None, and why it cannot be lived through."""
        return tried(self._replayed)

    def _replayed(self) -> ReplayedStep:
        training = self._reach.before(self._step)
        self.layer = tuple(training.frozen_parameters)
        before, left = copies(training.frozen_parameters), _grads(training)
        found: dict[nn.Parameter, Tensor | None] = {}
        training.ready(self._step)
        training.change_grads(lambda p: found.update({p: cloned(p.grad)}))
        training.step()
        stale = all(map(_same_grad, left, found.values()))
        as_it_was = difference(before, copies(training.frozen_parameters))
        moved, unexplained = self._movements(Witness.of(training, before))
        (state,), attached = training.grads, None
        if state is GradState.NONZERO:
            attached, _ = tried(lambda: self._attached(before))
        return ReplayedStep(
            step=self._step,
            grad=MetGrad(state, stale),
            as_it_was=as_it_was,
            movements=moved,
            unexplained=unexplained,
            attached=attached,
        )

    def _movements(self, witness: Witness) -> tuple[Movements | None, str | None]:
        """What the sources of the step do, or why that cannot be told."""
        if self._outcome.unexplained is not None:
            return None, self._outcome.unexplained
        (grad,) = witness.grads
        leaks = self._outcome.verdict is Verdict.LEAKS
        if grad is GradState.NONZERO and not leaks:
            return None, None
        reruns = Reruns(self._reach, witness)
        if grad is GradState.NONE and not leaks:
            return tried(lambda: self._supposed(reruns))
        return tried(lambda: movements(Replay(reruns)))

    def _supposed(self, reruns: Reruns) -> Movements:
        """What the sources would do, were the grad zeros and not None."""
        Replay(reruns).there()  # the step repeats, or nothing is said
        supposed = Reruns(self._reach, reruns.witness, fill)
        return movements(Replay(supposed, supposed=GradState.ZERO))

    def _attached(self, before: Parameters) -> Change:
        """What the step does where the schedule does not freeze it."""
        training = self._reach.before(self._step)
        training.schedule = schedule.parse("never")
        training.run(self._step)
        return difference(before, copies(training.frozen_parameters))


def _grads(training: Training) -> list[Tensor | None]:
    frozen = training.frozen_parameters.values()
    return [cloned(parameter.grad) for parameter in frozen]


def _same_grad(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    if one.layout is torch.sparse_coo and other.layout is torch.sparse_coo:
        one, other = one.coalesce(), other.coalesce()
        return torch.equal(one.indices(), other.indices()) and torch.equal(
            one.values(), other.values()
        )
    return one.layout is other.layout and torch.equal(one, other)
