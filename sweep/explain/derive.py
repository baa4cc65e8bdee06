"""From a trial to its explanation, a value: run it, replay one step, run its neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from sweep.explain.variants import Variant, neighbours
from sweep.trial.causes import INTRINSIC, Movements, difference, movements, name_of, tried
from sweep.trial.diary import Witness
from sweep.trial.modes import fresh_modes
from sweep.trial.moment import copies
from sweep.trial.outside import undisturbed
from sweep.trial.probe import Change
from sweep.trial.reach import Reach
from sweep.trial.replay import Replay, Reruns, fill
from sweep.trial.stack import digests
from sweep.trial.training import Training, begin
from sweep.trial.trial import run_trial
from sweep.values import schedule
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import GradState, Verdict


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """One frozen step, replayed.

    Attributes:
        step: which, counting from 0.
        grad: what the optimizer found in the layer's grad.
        stale: whether that was left there by an earlier step, bit for bit.
        as_it_was: what the step did.
        movements: what its sources do, together and by themselves; for a layer that kept still
            with a grad of None, what they would do had it been zeros. None where that could not
            be found out, and for a layer that kept still with a grad that is not zero.
        unexplained: why the movements could not be found out.
        attached: what the step does where the schedule does not freeze it; None where that was
            not asked, or cannot be told.
    """

    step: int
    grad: GradState
    stale: bool
    as_it_was: Change
    movements: Movements | None
    unexplained: str | None
    attached: Change | None

    @property
    def supposed(self) -> bool:
        """Whether the movements are those of a step whose grad would be zeros, not None."""
        return self.grad is GradState.NONE and not self.as_it_was.moved

    @property
    def whole(self) -> Change:
        """The movement that sources are held against: the leak, or that which zeros would make."""
        return self.as_it_was if self.movements is None else self.movements.whole

    @property
    def by_themselves(self) -> dict[str, Change]:
        """What each source does by itself, and each cause, by name; the largest first."""
        if (moved := self.movements) is None:
            return {}
        alone = {frozenset({source}): change for source, change in moved.alone.items()}
        found = {name_of(sources): each for sources, each in (alone | dict(moved.sets)).items()}
        found |= {INTRINSIC: moved.intrinsic} if moved.intrinsic.moved else {}
        return dict(sorted(found.items(), key=lambda each: by_size(each[1]), reverse=True))

    def share(self, change: Change) -> float:
        """The L2 norm of ``change`` over that of the whole movement; NaN where that has no size.

        Sources can strengthen or oppose each other, so shares need not add to 1.
        """
        whole = self.whole.l2
        return change.l2 / whole if whole and math.isfinite(whole) else math.nan


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


def explain(planned: PlannedTrial, *, device: str = "cpu") -> Explanation:
    """Why ``planned`` leaks or holds. Trains it some ten times over; records nothing.

    Never raises what the trial raises, nor what a replay of it raises: a trial that fails is
    explained by its error, and what cannot be replayed is left open, with the reason.
    """
    outcome = run_trial(planned, device=device)
    unlike = outcome.verdict in (Verdict.FAILED, Verdict.INERT)
    if unlike or (step := _step_to_replay(outcome)) is None:
        return Explanation(planned, outcome)
    layer: tuple[str, ...] = ()
    replayed: ReplayedStep | None = None
    with fresh_modes(), undisturbed(planned.setting.optimizer) as put_back:
        reach = Reach(planned, partial(begin, put_back, device=device))
        training, unexplained = tried(lambda: reach.before(step))
        if training is not None:
            layer = tuple(training.frozen_parameters)
            replayed, unexplained = tried(lambda: _lived(training, step, reach, outcome))
    variants = neighbours(planned, leaks=outcome.verdict is Verdict.LEAKS, device=device)
    return Explanation(planned, outcome, layer, replayed, unexplained, variants)


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


def _lived(training: Training, step: int, reach: Reach, outcome: Outcome) -> ReplayedStep:
    """The step that ``training`` is just before, lived through once more, and its replays."""
    before, frozen = copies(training.frozen_parameters), training.frozen_parameters.values()
    left = {parameter: _bits(parameter.grad) for parameter in frozen}
    found: dict[nn.Parameter, object] = {}
    training.ready(step)
    training.change_grads(lambda parameter: found.update({parameter: _bits(parameter.grad)}))
    training.step()
    as_it_was = difference(before, copies(training.frozen_parameters))
    moved, unexplained = _movements(reach, outcome, Witness.of(training, before))
    (state,), attached = training.grads, None
    if state is GradState.NONZERO:
        attached, _ = tried(lambda: _attached(reach, step))
    return ReplayedStep(
        step=step,
        grad=state,
        stale=all(left[parameter] == bits for parameter, bits in found.items()),
        as_it_was=as_it_was,
        movements=moved,
        unexplained=unexplained,
        attached=attached,
    )


def _movements(
    reach: Reach, outcome: Outcome, witness: Witness
) -> tuple[Movements | None, str | None]:
    """What the sources of the step do, or why that cannot be told."""
    if outcome.unexplained is not None:
        return None, outcome.unexplained
    (grad,), leaks = witness.grads, outcome.verdict is Verdict.LEAKS
    if grad is GradState.NONZERO and not leaks:
        return None, None
    replay = Replay(Reruns(reach, witness))
    if leaks or grad is not GradState.NONE:
        return tried(lambda: movements(replay))

    def supposed() -> Movements:
        """What the sources would do, were the grad zeros and not None."""
        replay.there()  # the step repeats, or nothing is said
        return movements(Replay(Reruns(reach, witness, fill), supposed=GradState.ZERO))

    return tried(supposed)


def _attached(reach: Reach, step: int) -> Change:
    """What the step does where the schedule does not freeze it."""
    training = reach.before(step)
    before = copies(training.frozen_parameters)
    training.schedule = schedule.parse("never")
    training.run(step)
    return difference(before, copies(training.frozen_parameters))


def _bits(grad: Tensor | None) -> tuple[bytes, ...] | None:
    return None if grad is None else digests([grad.to_dense()])


def by_size(change: Change) -> tuple[bool, float]:
    """A key that sorts changes by their size, those that move nothing first."""
    return change.moved, change.l2 if math.isfinite(change.l2) else math.inf
