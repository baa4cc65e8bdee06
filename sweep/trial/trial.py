"""One trial, from a setting to its outcome: the page to read first."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError

from sweep.errors import MisuseError
from sweep.optimizers import registry
from sweep.trial.causes import attribute
from sweep.trial.machine import environment
from sweep.trial.modes import one_thread
from sweep.trial.probe import Probe, together
from sweep.trial.replay import Replay
from sweep.trial.sideways import moves_others
from sweep.trial.tally import Tally
from sweep.trial.training import Training
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
    except (Exception, SystemExit) as error:  # noqa: BLE001  # an optimizer may raise anything
        return failed(planned, error, seconds=time.perf_counter() - started, device=device)


def _train(planned: PlannedTrial, trace: bool, device: str, started: float) -> Outcome:
    start = partial(Training, device=device)
    training = start(planned)
    probe = Probe(training.frozen_parameters)
    tally = Tally(trace)
    for step in range(planned.steps):
        training.begin(step)
        training.backward()
        probe.before_step()
        training.step()
        change = together(probe.after_step().values())
        tally.add(
            step, frozen=training.frozen, losses=training.losses, grad=training.grad, change=change
        )
        training.clear_grads()
    train_seconds = time.perf_counter() - started
    replay, layer = Replay(planned, start), frozenset(training.frozen_parameters)
    leak, met_grad = tally.first_leak_step, tally.first_grad_step
    sideways = met_grad is not None and moves_others(replay, met_grad)
    causes = None if leak is None else attribute(replay, leak, layer)
    return finished(
        planned,
        tally,
        causes=causes,
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
    sideways: bool,
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
        error=f"{type(error).__name__}: {error}".rstrip(": "),
        finished_at=datetime.now(UTC),
    )


def _package(planned: PlannedTrial) -> str | None:
    """The library that the optimizer came from and its version; None where it is not found."""
    try:
        return registry.package_version(registry.lookup(planned.setting.optimizer))
    except (MisuseError, PackageNotFoundError):
        return None
