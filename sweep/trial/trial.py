"""One trial, from a setting to its outcome: the page to read first.

Trials that differ only in their seed are trained as one stack: what is trained, replayed and
compared is the whole stack, and what is seen of it is taken apart. One alone is a stack of one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from sweep.errors import error_text
from sweep.optimizers import registry
from sweep.trial.diary import Diary
from sweep.trial.hindsight import hindsight
from sweep.trial.machine import environment
from sweep.trial.outside import PutBack, fresh_modes, undisturbed
from sweep.trial.probe import Probe
from sweep.trial.reach import Reach
from sweep.trial.scoring import is_scored
from sweep.trial.tally import Tally
from sweep.trial.training import begin
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Verdict


def run_trial(planned: PlannedTrial, *, trace: bool = False, device: str = "cpu") -> Outcome:
    """Trains ``planned`` and returns what the frozen layer did, with a row a step if ``trace``.

    The same plan gives the same bits on the same machine, whichever process runs it and
    whatever ran before. Whatever the trial raises becomes an outcome with the verdict
    ``failed``; only KeyboardInterrupt passes.
    """
    (outcome,) = run_stack([planned], trace=trace, device=device)
    return outcome


def run_stack(
    trials: Sequence[PlannedTrial], *, trace: bool = False, device: str = "cpu"
) -> Iterator[Outcome]:
    """The outcome of each of ``trials``, a group of `sweep.trial.groups.grouped`, in their order.

    Bit for bit those of `run_trial`. Where a stack of several raises, each is run by itself, so
    that only those at fault fail, and each outcome comes when it is there. ``train_seconds`` is
    a trial's share of the stack's.
    """
    started = time.perf_counter()
    try:
        with fresh_modes(), undisturbed(trials[0].setting.optimizer) as put_back:
            outcomes = _train(trials, trace, device, started, put_back)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # an optimizer may raise anything
        if len(trials) == 1:
            seconds = time.perf_counter() - started
            yield failed(trials[0], error, seconds=seconds, device=device)
            return
    else:
        yield from outcomes
        return
    for planned in trials:
        yield from run_stack([planned], trace=trace, device=device)


def _train(
    trials: Sequence[PlannedTrial], trace: bool, device: str, started: float, put_back: PutBack
) -> list[Outcome]:
    planned = trials[0]
    start = partial(begin, put_back, seeds=[each.setting.seed for each in trials], device=device)
    training = start(planned)
    probe, diary = Probe(training.frozen_parameters), Diary(len(trials))
    tallies = [Tally(trace) for _ in trials]
    unscored: list[float | None] = [None] * len(trials)
    scores = unscored
    for step in range(planned.steps):
        training.begin(step)
        training.backward()
        diary.before_step(training)
        probe.before_step()
        training.step()
        changes = probe.changes_of_each(len(trials))
        scores = training.scores_of_each() if trace and is_scored(step) else unscored
        losses_of_each = training.losses_of_each(needed=trace or step in (0, planned.steps - 1))
        seen = zip(tallies, losses_of_each, training.grads, changes, scores, strict=True)
        for tally, losses, grad, change, score in seen:
            tally.add(
                step, frozen=training.frozen, losses=losses, grad=grad, change=change, score=score
            )
        diary.after_step(training, probe, leaks=any(it.first_leak_step == step for it in tallies))
        training.clear_grads()
    seconds = (time.perf_counter() - started) / len(trials)
    finite = training.finite_of_each()
    scores = training.scores_of_each() if scores is unscored else scores
    del training, probe  # the replays have parameters and states of their own
    reach = Reach(planned, start, diary.snapshot, diary.first_end)
    known = hindsight(reach, diary, [tally.first_leak_step for tally in tallies])
    return [
        Outcome(
            planned=each,
            environment=environment(device),
            optimizer_package=registry.package_of(each.setting.optimizer),
            verdict=tally.verdict,
            measurement=tally.measurement(
                finite_parameters=is_finite, frozen_norm=norm, score=score
            ),
            causes=found.causes,
            sideways=found.sideways,
            train_seconds=seconds,
            error=None,
            finished_at=datetime.now(UTC),
            steps=tuple(tally.steps),
            unexplained=found.unexplained,
        )
        for each, tally, is_finite, score, norm, found in zip(
            trials, tallies, finite, scores, diary.frozen_norms, known, strict=True
        )
    ]


def failed(
    planned: PlannedTrial, error: BaseException, *, seconds: float, device: str = "cpu"
) -> Outcome:
    """The outcome of a trial that raised ``error`` after ``seconds``."""
    return Outcome(
        planned=planned,
        environment=environment(device),
        optimizer_package=registry.package_of(planned.setting.optimizer),
        verdict=Verdict.FAILED,
        measurement=None,
        causes=None,
        sideways=None,
        train_seconds=seconds,
        error=error_text(error),
        finished_at=datetime.now(UTC),
    )
