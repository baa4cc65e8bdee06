"""What a watch found, as a sweep in the database.

A watch becomes a sweep whose spec says ``"kind": "watch"``. Each parameter that was to keep
still on some step becomes a trial of the workload ``watch``; its name is in ``options``. The
axes that a user's own loop does not have (``schedule``, ``freeze``) are ``own``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from sweep.errors import SweepMismatchError
from sweep.optimizers import registry
from sweep.optimizers.entry import OptimizerEntry, split_address
from sweep.store.store import Store
from sweep.trial.machine import environment
from sweep.trial.tally import null_if_nan
from sweep.values.outcome import Environment, Outcome, StepRecord
from sweep.values.setting import PlannedTrial, Setting, canonical_json
from sweep.values.words import Freeze, GradState, Verdict, ZeroGrad
from sweep.watching.findings import Findings, Record
from sweep.watching.roster import Roster
from sweep.watching.stepping import Question

WORKLOAD = "watch"
OWN = "own"

_ZERO_GRAD = {
    GradState.NONE: ZeroGrad.NONE,
    GradState.ZERO: ZeroGrad.ZERO,
    GradState.NONZERO: ZeroGrad.NEVER,
}
"""What the state of a grad says about how it was cleared."""


def save(
    url: str,
    name: str,
    *,
    findings: Findings,
    roster: Roster,
    optimizers: tuple[Optimizer, ...],
    question: Question,
    seconds: float,
) -> None:
    """Records the findings as the sweep ``name``; see `sweep.watching.session.Watch.save`."""
    now, tensors = datetime.now(UTC), {s.name: s.parameter for s in roster}
    outcomes = []
    for (index, parameter), record in findings.records.items():
        if not record.still.steps:
            continue
        planned = PlannedTrial(
            setting=_setting(optimizers[index], tensors[parameter], record),
            workload=WORKLOAD,
            steps=findings.steps[index],
            options=canonical_json({"optimizer": index, "parameter": parameter}),
        )
        outcomes.append(
            Outcome(
                planned=planned,
                environment=_environment(tensors[parameter]),
                optimizer_package=_package(optimizers[index]),
                verdict=Verdict.LEAKS if record.still.moved else Verdict.HOLDS,
                measurement=record.measurement(finite=bool(tensors[parameter].isfinite().all())),
                causes=None if record.explanation is None else record.explanation.causes,
                sideways=None,
                train_seconds=seconds,
                error=None,
                finished_at=now,
                steps=_steps(record),
            )
        )
    spec = canonical_json(_spec(name, findings, optimizers, question))
    with Store.open(url) as store:
        if store.sweep(name) is not None:
            raise SweepMismatchError(name, "a watch is recorded once, and never added to")
        sweep = store.record_sweep(name, spec, len(outcomes))
        store.write(sweep.id, outcomes)


def _spec(
    name: str, findings: Findings, optimizers: tuple[Optimizer, ...], question: Question
) -> dict[str, Any]:
    return {
        "kind": WORKLOAD,
        "name": name,
        "optimizers": [_name_of(optimizer) for optimizer in optimizers],
        "steps": findings.steps,
        "frozen": sorted(question.frozen.now.parameters),
        "zeros_count": question.zeros_count,
        "granularity": "row" if question.rows else "parameter",
    }


def _setting(optimizer: Optimizer, parameter: Tensor, record: Record) -> Setting:
    entry, group = _entry_of(optimizer), _group_of(optimizer, parameter)
    momentum = "momentum" if "momentum" in group else "betas[0]"
    addresses = ("lr", "weight_decay", momentum)
    if entry is not None:
        addresses = (entry.lr or "", entry.weight_decay or "", entry.momentum or "")
    lr, weight_decay, momentum_value = (_number(group, address) for address in addresses)
    return Setting(
        optimizer=_name_of(optimizer),
        lr=lr,
        weight_decay=weight_decay,
        momentum=momentum_value,
        zero_grad=_ZERO_GRAD[record.grad or GradState.NONE],
        schedule=OWN,
        freeze=cast("Freeze", OWN),  # no way of freezing that a grid could have
        seed=0,
    )


def _steps(record: Record) -> tuple[StepRecord, ...]:
    return tuple(
        StepRecord(leak.step, True, None, leak.grad, True, null_if_nan(leak.max_change))
        for leak in record.leaks
    )


def _number(group: Mapping[str, Any], address: str) -> float | None:
    """The number at ``address`` in a parameter group; None where there is none."""
    argument, index = split_address(address)
    value = group.get(argument)
    if value is None or (index is not None and not isinstance(value, tuple | list)):
        return None
    return float(value if index is None else value[index])


def _group_of(optimizer: Optimizer, parameter: Tensor) -> Mapping[str, Any]:
    """The parameter's group; empty where it has left the optimizer."""
    for group in optimizer.param_groups:
        if any(parameter is held for held in group["params"]):
            return dict(group)
    return {}


def _name_of(optimizer: Optimizer) -> str:
    """The registry's name of its class, or ``package.module:Class``."""
    entry, kind = _entry_of(optimizer), type(optimizer)
    return f"{kind.__module__}:{kind.__qualname__}" if entry is None else entry.name


def _entry_of(optimizer: Optimizer) -> OptimizerEntry | None:
    """The registry's row of its class; None if there is none. Imports nothing."""
    for name in registry.names():
        entry = registry.lookup(name)
        module, _, attribute = entry.target.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is type(optimizer):
            return entry
    return None


def _package(optimizer: Optimizer) -> str | None:
    entry = _entry_of(optimizer)
    try:
        return None if entry is None else registry.package_version(entry)
    except PackageNotFoundError:
        return None


def _environment(parameter: Tensor) -> Environment:
    return replace(environment(parameter.device.type), threads=torch.get_num_threads())
