"""What the trials of a sweep ran with, and what they did step by step. Reads only."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import column, func, select, table

from analysis.connection import connected
from analysis.load import ENVIRONMENTS, TRIALS, load_trials, read_rows, trial_column
from analysis.schema import COUNT, ENVIRONMENT_COLUMNS, SETTING_AXES

_STEP_KINDS = {
    "trial_id": "Int64",
    "step": "int64",
    "frozen": "bool",
    "loss": "float64",
    "grad": "object",
    "moved": "bool",
    "max_change": "float64",
}
_STEP = table("step", *(column(name) for name in _STEP_KINDS))
_SWEEP = table("sweep", column("id"), column("name"))


def load_runs(database: str, sweep: str) -> pd.DataFrame:
    """What a sweep's trials ran with: a row for each environment and library of optimizers.

    Columns: those of ``environment``, ``optimizer_package``, ``count`` (the trials that ran
    with it), ``train_seconds`` (of all of them) and ``finished_at`` (the latest). Raises as
    `analysis.load.load_trials`.
    """
    alike = [ENVIRONMENTS.c.id, TRIALS.c.optimizer_package]
    seconds, latest = func.sum(TRIALS.c.train_seconds), func.max(TRIALS.c.finished_at)
    names = [*ENVIRONMENT_COLUMNS, "optimizer_package", COUNT, "train_seconds", "finished_at"]
    with connected(database) as connection:
        query = (
            select(*map(trial_column, names[: names.index(COUNT)]), func.count(), seconds, latest)
            .join_from(TRIALS, ENVIRONMENTS, ENVIRONMENTS.c.id == TRIALS.c.environment_id)
            .group_by(*alike)
            .order_by(*alike)
        )
        return read_rows(connection, query, names, sweep)


def load_steps(database: str, sweep: str) -> pd.DataFrame:
    """One row for each step of each traced trial of a sweep, by trial and step.

    Columns: those of ``step`` (``trial_id`` as ``id``), then ``sweep``, the axes and
    ``seed`` of the trial. Empty where nothing was traced. Raises as
    `analysis.load.load_trials`.
    """
    columns = ["id", "sweep", *SETTING_AXES, "seed"]
    trials = load_trials(database, sweep, columns=columns, traced=True)
    query = (
        select(*_STEP.c)
        .join_from(_STEP, TRIALS, TRIALS.c.id == _STEP.c.trial_id)
        .join(_SWEEP, _SWEEP.c.id == TRIALS.c.sweep_id)
        .where(_SWEEP.c.name == sweep)
        .order_by(_STEP.c.trial_id, _STEP.c.step)
    )
    with connected(database) as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    steps = pd.DataFrame(rows, columns=list(_STEP_KINDS)).astype(_STEP_KINDS)
    return steps.rename(columns={"trial_id": "id"}).merge(trials, on="id")
