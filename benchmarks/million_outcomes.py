"""A million outcomes like the recorded ones, for benchmarks of large databases.

The settings are those of the preset `full` with more seeds or more learning rates. Each
trial's verdict, causes and drifts are those of the trial in results/reference/full that is
most like it, the drifts times a factor of its own; one in a thousand failed, one in five
hundred is inert.
"""

from __future__ import annotations

import csv
import gzip
import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sweep.grid import Grid
from sweep.grid.spec_file import load_preset, with_overrides
from sweep.values.outcome import Causes, Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Verdict

REFERENCE = Path(__file__).parents[1] / "results" / "reference" / "full" / "trials.csv.gz"
SWEEP = "full"
SEEDS = 3  # of the reference
SOMEWHERE = Environment("2.13.0+cpu", "3.11.7", "benchmark", "cpu", 1, "0.1.0")
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
NO_TRIAL = PlannedTrial(Setting("none", None, None, None), "none", 0)
STILL: dict[str, Any] = {
    **dict.fromkeys(("leaked_steps", "max_drift", "total_drift", "attached_motion"), 0),
    **dict.fromkeys(("first_leak_step", "drift_ratio")),
}
"""What is measured where a layer never moves."""


def grid_of(trials: int, rates: int) -> Grid:
    """The preset's grid with so many learning rates, and seeds to reach so many trials."""
    spec = load_preset(SWEEP)
    lrs = [1.0, 0.01, *(round(0.01 * 1.01**place, 6) for place in range(1, rates - 1))][:rates]
    one_seed = Grid(with_overrides(spec, set=["seed=0", f"lr={','.join(map(str, lrs))}"])).size
    seeds = -(-trials // one_seed)
    words = ["seed=" + ",".join(map(str, range(seeds))), "lr=" + ",".join(map(str, lrs))]
    return Grid(with_overrides(spec, set=words))


def recorded_like(path: Path = REFERENCE) -> dict[tuple[Any, ...], list[Outcome]]:
    """The reference's outcomes by what decides them most; their planned trials are not theirs."""
    found: dict[tuple[Any, ...], list[Outcome]] = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            numbers = (_number(row["lr"]), _number(row["weight_decay"]), _number(row["momentum"]))
            key = _key(row["optimizer"], *numbers, row["zero_grad"], row["schedule"])
            found.setdefault(key, []).append(_outcome(row))
    return found


def _key(optimizer: str, lr: float | None, *others: object) -> tuple[Any, ...]:
    return optimizer, lr is not None and lr > 0.1, *others


def _outcome(row: dict[str, str]) -> Outcome:
    verdict = Verdict(row["verdict"])
    measured = Measurement(
        frozen_steps=int(row["frozen_steps"]),
        leaked_steps=int(row["leaked_steps"]),
        first_leak_step=int(row["first_leak_step"]) if row["first_leak_step"] else None,
        max_drift=_number(row["max_drift"]),
        total_drift=_number(row["total_drift"]),
        attached_motion=_number(row["attached_motion"]),
        drift_ratio=_number(row["drift_ratio"]),
        initial_loss=_number(row["initial_loss"]),
        final_loss=_number(row["final_loss"]),
        diverged=row["diverged"] == "True",
    )
    names = ("by_history", "by_decay", "by_gradient", "by_intrinsic", "despite_none")
    causes = Causes(**{name: row[name] == "True" for name in names})
    return Outcome(
        planned=NO_TRIAL,
        environment=SOMEWHERE,
        optimizer_package=row["optimizer_package"],
        verdict=verdict,
        measurement=measured,
        causes=causes if verdict is Verdict.LEAKS else None,
        sideways=row["sideways"] == "True",
        train_seconds=1.5,
        error=None,
        finished_at=STARTED,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def outcomes(grid: Grid, trials: int) -> Iterator[Outcome]:
    """An outcome for each of the grid's first trials, with drifts of its own."""
    like = recorded_like()
    for place, planned in enumerate(itertools.islice(grid, trials)):
        setting = planned.setting
        numbers = (setting.lr, setting.weight_decay, setting.momentum)
        words = (setting.zero_grad.value, setting.schedule)
        template = like[_key(setting.optimizer, *numbers, *words)][setting.seed % SEEDS]
        at = STARTED + timedelta(seconds=place / 40)
        yield _varied(replace(template, planned=planned, finished_at=at), place)


def _varied(outcome: Outcome, place: int) -> Outcome:
    """``outcome`` with drifts no other has; now and then failed or inert instead."""
    if place % 1000 == 999:
        error = f"RuntimeError: no convergence in trial {place % 7}\n  and more of it"
        failed = replace(outcome, verdict=Verdict.FAILED, measurement=None, error=error)
        return replace(failed, causes=None, sideways=None)
    assert outcome.measurement is not None
    if place % 500 == 499:
        still = replace(outcome.measurement, **STILL)
        return replace(outcome, verdict=Verdict.INERT, measurement=still, causes=None)
    factor = 1 + (place * 2654435761 % 2**32) / 2**36
    return replace(outcome, measurement=_scaled(outcome.measurement, factor))


def _scaled(measured: Measurement, factor: float) -> Measurement:
    return replace(
        measured,
        max_drift=_times(measured.max_drift, factor),
        total_drift=_times(measured.total_drift, factor),
        attached_motion=_times(measured.attached_motion, factor),
        drift_ratio=_times(measured.drift_ratio, factor),
    )


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
