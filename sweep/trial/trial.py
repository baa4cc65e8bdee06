"""One trial, from a setting to its outcome: the page to read first."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError

from sweep.errors import MisuseError, error_text
from sweep.optimizers import registry
from sweep.trial.causes import attribute, tried
from sweep.trial.machine import environment
from sweep.trial.modes import one_thread
from sweep.trial.probe import Probe, together
from sweep.trial.replay import Replay, Reruns
from sweep.trial.sideways import moves_others
from sweep.trial.tally import Tally
from sweep.trial.training import Training
from sweep.trial.witness import Witness
from sweep.values.outcome import Causes, Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Verdict


def run_trial(planned: PlannedTrial, *, trace: bool = False, device: str = "cpu") -> Outcome:
    """Trains ``planned`` and returns what the frozen layer did, with a row a step if ``trace``.

    The same plan gives the same bits on the same machine, whichever process runs it and
    whatever ran before. Whatever the trial raises becomes an outcome with the verdict
    ``failed``; only KeyboardInterrupt passes.
    """
    started = time.perf_counter()
    try:
        with one_thread():
            return _train(planned, trace, device, started)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # an optimizer may raise anything
        return failed(planned, error, seconds=time.perf_counter() - started, device=device)


def _train(planned: PlannedTrial, trace: bool, device: str, started: float) -> Outcome:
    start = partial(Training, device=device)
    training = start(planned)
    probe = Probe(training.frozen_parameters)
    tally, witness = Tally(trace), None
    for step in range(planned.steps):
        training.begin(step)
        training.backward()
        probe.before_step()
        training.step()
        change = together(probe.after_step().values())
        tally.add(
            step, frozen=training.frozen, losses=training.losses, grad=training.grad, change=change
        )
        if tally.first_leak_step == step:
            witness = Witness.of(training, probe.copies(), [training.grad])
        training.clear_grads()
    train_seconds = time.perf_counter() - started
    causes, unexplained = None, None
    if witness is not None:
        causes, unexplained = attribute(Replay(Reruns(planned, start, witness)))
    sideways: bool | None = False
    if (met_grad := tally.first_grad_step) is not None:
        sideways, _ = tried(lambda: moves_others(planned, start, met_grad))
    return finished(
        planned,
        tally,
        causes=causes,
        unexplained=unexplained,
        sideways=sideways,
        finite=training.is_finite(),
        seconds=train_seconds,
        device=device,
    )


def finished(
    planned: PlannedTrial,
    tally: Tally,
    *,
    causes: Causes | None,
    unexplained: str | None,
    sideways: bool | None,
    finite: bool,
    seconds: float,
    device: str,
) -> Outcome:
    """The outcome of a trial that came to its end: ``finite`` is whether its parameters are."""
    return Outcome(
        planned=planned,
        environment=environment(device),
        optimizer_package=_package(planned),
        verdict=tally.verdict,
        measurement=tally.measurement(finite_parameters=finite),
        causes=causes,
        unexplained=unexplained,
        sideways=sideways,
        train_seconds=seconds,
        error=None,
        finished_at=datetime.now(UTC),
        steps=tuple(tally.steps),
    )


def failed(
    planned: PlannedTrial, error: BaseException, *, seconds: float, device: str = "cpu"
) -> Outcome:
    """The outcome of a trial that raised ``error`` after ``seconds``."""
    return Outcome(
        planned=planned,
        environment=environment(device),
        optimizer_package=_package(planned),
        verdict=Verdict.FAILED,
        measurement=None,
        causes=None,
        sideways=None,
        train_seconds=seconds,
        error=error_text(error),
        finished_at=datetime.now(UTC),
    )


def _package(planned: PlannedTrial) -> str | None:
    """The library that the optimizer came from and its version; None where it is not found."""
    try:
        return registry.package_version(registry.lookup(planned.setting.optimizer))
    except (MisuseError, PackageNotFoundError):
        return None
