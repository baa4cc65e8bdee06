"""What a watch found, as a sweep in the database.

A watch becomes a sweep whose spec says ``"kind": "watch"`` and has the account. Each parameter
that was to keep still on some step becomes a trial of the workload ``watch``; its name is in
``options``. The axes that a user's own loop does not have (``schedule``, ``freeze``) are ``own``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import torch

from sweep.errors import SweepMismatchError
from sweep.store.store import Store
from sweep.trial.machine import environment
from sweep.trial.tally import null_if_nan
from sweep.values.outcome import Measurement, Outcome, StepRecord
from sweep.values.setting import PlannedTrial, canonical_json, check_sweep_name
from sweep.values.words import Verdict
from sweep.watching.account import rows_of
from sweep.watching.findings import Fared, Record
from sweep.watching.hyperparameters import Facts
from sweep.watching.observation import Observation

WORKLOAD = "watch"


def save(url: str, name: str, observed: Observation, *, seconds: float) -> None:
    """Records what was found as the sweep ``name``; see `sweep.watching.session.Watch.save`."""
    check_sweep_name(name)
    observed.settle()
    findings, now = observed.findings, datetime.now(UTC)
    outcomes = []
    for (index, parameter), facts in observed.facts().items():
        record = findings.records[index, parameter]
        planned = PlannedTrial(
            setting=facts.setting,
            workload=WORKLOAD,
            steps=findings.steps[index],
            options=canonical_json({"optimizer": index, "parameter": parameter}),
        )
        outcomes.append(_outcome(planned, record, facts, seconds, now))
    spec = canonical_json(_spec(name, observed))
    with Store.open(url) as store:
        if store.sweep(name) is not None:
            raise SweepMismatchError(name, "a watch is recorded once, and never added to")
        sweep = store.record_sweep(name, spec, len(outcomes))
        store.write(sweep.id, outcomes)


def _outcome(
    planned: PlannedTrial, record: Record, facts: Facts, seconds: float, now: datetime
) -> Outcome:
    cause = record.explanation if record.still.moved else None
    return Outcome(
        planned=planned,
        environment=replace(environment(facts.device), threads=torch.get_num_threads()),
        optimizer_package=facts.package,
        verdict=Verdict.LEAKS if record.still.moved else Verdict.HOLDS,
        measurement=_measurement(record.still, finite=facts.finite),
        causes=None if cause is None else cause.causes,
        unexplained=None if cause is None else cause.unexplained,
        sideways=None,
        train_seconds=seconds,
        error=None,
        finished_at=now,
        steps=tuple(
            StepRecord(leak.step, True, None, leak.grad, True, null_if_nan(leak.max_change))
            for leak in record.leaks
        ),
    )


def _measurement(still: Fared, *, finite: bool) -> Measurement:
    """The sums as the database keeps them; steps with a gradient were not measured."""
    is_measured = still.measured == still.moved
    only_nan = still.became_nan and still.largest == 0.0
    return Measurement(
        frozen_steps=still.steps,
        leaked_steps=still.moved,
        first_leak_step=still.first,
        max_drift=still.largest if is_measured and not only_nan else None,
        total_drift=null_if_nan(still.total) if is_measured else None,
        attached_motion=None,
        drift_ratio=None,
        initial_loss=None,
        final_loss=None,
        diverged=not finite,
    )


def _spec(name: str, observed: Observation) -> dict[str, Any]:
    question = observed.question
    frozen, trainable = question.frozen.now, question.trainable.now
    account = rows_of(observed.account().entries)
    for row in account:
        if row["largest_change"] != row["largest_change"]:
            row["largest_change"] = "NaN"  # which JSON does not have
    return {
        "kind": WORKLOAD,
        "name": name,
        "optimizers": observed.names,
        "steps": observed.findings.steps,
        "frozen": sorted(frozen.parameters),
        "partly_frozen": sorted(frozen.masks),
        "trainable": sorted(trainable.parameters),
        "zeros_count": question.zeros_count,
        "granularity": "row" if question.rows else "parameter",
        "account": account,
    }
