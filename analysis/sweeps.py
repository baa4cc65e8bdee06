"""Sweeps, runs and steps out of a database: what `analysis.load` does for trials. Reads only."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pandas as pd
from sqlalchemy import column, func, select, table

from analysis.connection import connected
from analysis.load import ENVIRONMENTS, TRIALS, load_trials, read_rows
from analysis.schema import AXES, COUNT, ENVIRONMENT

_SWEEP = table("sweep", *(column(name) for name in ("id", "name", "spec", "planned", "created_at")))
_TRIAL = table("trial", column("id"), column("sweep_id"))
_STEP_COLUMNS = ("trial_id", "step", "frozen", "loss", "grad", "moved", "max_change")
_STEP = table("step", *(column(name) for name in _STEP_COLUMNS))
_KINDS = {
    "trial_id": "Int64",
    "step": "int64",
    "frozen": "bool",
    "loss": "float64",
    "moved": "bool",
    "max_change": "float64",
}


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """A row of ``sweep``: its name, its grid as JSON, the trials planned, when it was made."""

    name: str
    spec: str
    planned: int
    created_at: str


def load_sweeps(url: str) -> list[SweepRecord]:
    """The sweeps of the database, oldest first; raises as `analysis.load.load_trials` does."""
    with connected(url) as connection:
        rows = connection.execute(select(_SWEEP).order_by(_SWEEP.c.id))
        return [
            SweepRecord(r.name, _checked(r.spec), int(r.planned), str(r.created_at)[:16])
            for r in rows
        ]


def load_runs(url: str, sweep: str) -> pd.DataFrame:
    """What a sweep's trials ran with: a row for each environment and library of optimizers.

    Columns: those of ``environment``, ``optimizer_package``, ``count`` (the trials that ran
    with it), ``train_seconds`` (of all of them) and ``finished_at`` (the latest). Raises as
    `analysis.load.load_trials`.
    """
    alike = [ENVIRONMENTS.c.id, TRIALS.c.optimizer_package]
    shown = [*(ENVIRONMENTS.c[name] for name in ENVIRONMENT), TRIALS.c.optimizer_package]
    seconds, latest = func.sum(TRIALS.c.train_seconds), func.max(TRIALS.c.finished_at)
    query = (
        select(*shown, func.count(), seconds, latest)
        .join_from(TRIALS, ENVIRONMENTS, ENVIRONMENTS.c.id == TRIALS.c.environment_id)
        .group_by(*alike)
        .order_by(*alike)
    )
    names = [*ENVIRONMENT, "optimizer_package", COUNT, "train_seconds", "finished_at"]
    with connected(url) as connection:
        return read_rows(connection, query, names, sweep)


def load_steps(url: str, sweep: str) -> pd.DataFrame:
    """One row for each step of each traced trial of a sweep, by trial and step.

    Columns: those of ``step`` (``trial_id`` as ``id``), then ``sweep``, the axes and
    ``seed`` of the trial. Empty where nothing was traced. Raises as `analysis.load.load_trials`.
    """
    trials = load_trials(url, sweep, columns=["id", "sweep", *AXES, "seed"], traced=True)
    query = (
        select(*_STEP.c)
        .join_from(_STEP, _TRIAL, _TRIAL.c.id == _STEP.c.trial_id)
        .join(_SWEEP, _SWEEP.c.id == _TRIAL.c.sweep_id)
        .where(_SWEEP.c.name == sweep)
        .order_by(_STEP.c.trial_id, _STEP.c.step)
    )
    with connected(url) as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    steps = pd.DataFrame(rows, columns=_STEP_COLUMNS).astype(_KINDS)
    return steps.rename(columns={"trial_id": "id"}).merge(trials, on="id")


def _checked(spec: str) -> str:
    """``spec``, if it is one. Raises ValueError, which `connected` explains."""
    try:
        read = json.loads(spec)
        grids, options = read.get("grid", []), read.get("options", {})
        tables = [*grids, options, *options.values()]
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not all(isinstance(each, dict) for each in tables):
        raise ValueError("a spec with what is no table")
    return spec
