"""What the trials of a sweep ran with, and what they did step by step. Reads only."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import column, func, select, table

from analysis.checked_columns import column_of
from analysis.connection import connected
from analysis.load import ENVIRONMENTS, TRIALS, load_trials, read_rows, trial_column
from analysis.schema import COUNT, ENVIRONMENT_COLUMNS, SETTING_AXES, Kind

_STEP_KINDS = {
    "trial_id": Kind.INT,
    "step": Kind.INT,
    "frozen": Kind.FLAG,
    "loss": Kind.REAL,
    "grad": Kind.WORD,
    "moved": Kind.FLAG,
    "max_change": Kind.REAL,
    "score": Kind.REAL,
}
_PLAIN = {"step": "int64", "frozen": "bool", "grad": "object", "moved": "bool"}
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
            .outerjoin_from(TRIALS, ENVIRONMENTS, ENVIRONMENTS.c.id == TRIALS.c.environment_id)
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
        rows = connection.execute(query).all()
        values = zip(*rows, strict=True) if rows else [()] * len(_STEP_KINDS)
        named = zip(_STEP_KINDS.items(), values, strict=True)
        checked = {name: column_of(name, kind, given) for (name, kind), given in named}
        steps = pd.DataFrame(checked).astype(_PLAIN)
    return steps.rename(columns={"trial_id": "id"}).merge(trials, on="id")
