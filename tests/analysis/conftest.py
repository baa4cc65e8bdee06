"""Frames and databases of trials made by hand, from the few values that a test is about."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from analysis.schema import CAUSE_COLUMNS, TRIAL_COLUMNS, typed
from sweep.store.store import Store
from sweep.values.outcome import Causes, Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Freeze, Verdict, ZeroGrad

ENVIRONMENT = Environment("2.13.0", "3.11.9", "Linux", "cpu", 1, "0.1.0")
PLAIN = {
    "sweep": "s",
    "sweep_kind": "grid",
    "workload": "small",
    "steps": 20,
    "optimizer": "SGD",
    "lr": 1.0,
    "weight_decay": 0.0,
    "momentum": 0.0,
    "zero_grad": "zero",
    "schedule": "alternate",
    "freeze": "detach",
    "seed": 0,
    "options": "{}",
    "verdict": "holds",
    "error": None,
    "sideways": False,
    "diverged": False,
    "max_drift": 0.0,
    "drift_ratio": 0.0,
} | dict.fromkeys(("causes", *CAUSE_COLUMNS))


@pytest.fixture(scope="session")
def trials():
    """A typed frame of the given rows; what a row leaves out is `PLAIN`, its id its place."""

    def make(*rows):
        records = [PLAIN | {"id": place} | row for place, row in enumerate(rows, start=1)]
        return typed(pd.DataFrame(records, columns=["sweep", "sweep_kind", *TRIAL_COLUMNS]))

    return make


@pytest.fixture(scope="session")
def outcome():
    """An `Outcome` whose setting, verdict and measures are given by column."""

    def make(**given):
        row = PLAIN | given
        names = ("optimizer", "lr", "weight_decay", "momentum", "schedule", "seed")
        words = {"zero_grad": ZeroGrad(row["zero_grad"]), "freeze": Freeze(row["freeze"])}
        setting = Setting(**{name: row[name] for name in names}, **words)
        verdict = Verdict(row["verdict"])
        failed, leaks = verdict is Verdict.FAILED, verdict is Verdict.LEAKS
        measurement = Measurement(
            frozen_steps=10,
            leaked_steps=9 if leaks else 0,
            first_leak_step=1 if leaks else None,
            max_drift=row["max_drift"],
            total_drift=0.1 + 0.2,
            attached_motion=2.0,
            drift_ratio=row["drift_ratio"],
            initial_loss=1.1,
            final_loss=float("inf") if row["diverged"] else 0.9,
            diverged=row["diverged"],
            score=row.get("score"),
            frozen_norm=row.get("frozen_norm"),
        )
        flags = {cause: bool(row[cause]) for cause in CAUSE_COLUMNS}
        causes = Causes(**flags, sets=row["causes"])
        return Outcome(
            planned=PlannedTrial(setting, row["workload"], row["steps"], row["options"]),
            environment=ENVIRONMENT,
            optimizer_package="torch 2.13.0",
            verdict=verdict,
            measurement=None if failed else measurement,
            causes=causes if leaks else None,
            sideways=None if failed else row["sideways"],
            train_seconds=0.25,
            error=row["error"],
            finished_at=datetime(2026, 11, 23, 5, 30, tzinfo=UTC),
        )

    return make


@pytest.fixture
def database(tmp_path, outcome):
    """Write sweeps, as lists of rows by name, into a new database; its URL comes back.

    ``specs`` has the specs of sweeps that are no plain grid, by name.
    """

    def make(*, specs=None, **sweeps):
        url = f"sqlite:///{tmp_path / 'sweep.db'}"
        with Store.open(url) as store:
            for name, rows in sweeps.items():
                spec = (specs or {}).get(name, "{}")
                sweep = store.record_sweep(name, spec, len(rows))
                store.write(sweep.id, [outcome(**row) for row in rows])
        return url

    return make
