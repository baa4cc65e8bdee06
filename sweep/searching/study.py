"""A recorded trial as Optuna has trials: parameters with distributions, values and a state.

A null axis is no parameter of its trial, which is how Optuna has conditional ones. Reads a
database, and never writes one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweep.errors import NotThereError
from sweep.searching.objective import Objective, Rows, values
from sweep.store.checked import not_ours
from sweep.store.models import TrialRow
from sweep.store.query import sweep_id
from sweep.store.reading import checked_rows
from sweep.store.url import parse_url
from sweep.values.words import Axis, Verdict


def recorded_rows(url: str, sweep: str) -> list[dict[str, Any]]:
    """The sweep's trials, in the order in which they finished.

    Raises NotThereError where there is no such sweep, as `checked_rows` does, and DatabaseError
    for a number that no grid and no search could have.
    """
    where, shown = f"sweep_id = {sweep_id(url, sweep):d}", parse_url(url).shown
    rows = list(checked_rows(url, TrialRow, where=where, order="finished_at, id"))
    for row in rows:
        for name in (Axis.LR, Axis.WEIGHT_DECAY, Axis.MOMENTUM):
            if row[name] is not None and not 0 <= row[name] < math.inf:
                raise not_ours(shown, f"trial.{name} is {row[name]}")
    return rows


def rows_so_far(url: str, sweep: str) -> list[dict[str, Any]]:
    """As `recorded_rows`; none where there is no such sweep yet."""
    try:
        return recorded_rows(url, sweep)
    except NotThereError:
        return []


def told_values(
    row: Mapping[str, Any], objectives: Sequence[Objective], known: Rows
) -> tuple[TrialState, tuple[float, ...] | None]:
    """How the trial of ``row`` ended, for a study, and its values of ``objectives``.

    FAIL for a failed trial, and PRUNED, which a sampler takes for worse than any, for one that
    has no values; see `sweep.searching.objective.values`.
    """
    found = values(row, objectives, known)
    unranked = TrialState.FAIL if row["verdict"] == Verdict.FAILED else TrialState.PRUNED
    return unranked if found is None else TrialState.COMPLETE, found


def frozen_trial(
    row: Mapping[str, Any],
    objectives: Sequence[Objective],
    known: Rows,
    parameters: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    user_attrs: dict[str, Any] | None = None,
    system_attrs: dict[str, Any] | None = None,
) -> FrozenTrial:
    """The trial of ``row`` with the values of ``objectives``, for a study of their directions.

    ``known`` are the rows among which its twin is looked for; ``distributions`` may have more
    than ``parameters`` needs.
    """
    state, found = told_values(row, objectives, known)
    trial = create_trial(
        state=state,
        values=found,
        params=dict(parameters),
        distributions={name: distributions[name] for name in parameters},
        user_attrs=user_attrs,
        system_attrs=system_attrs,
    )
    ended = row["finished_at"].astimezone().replace(tzinfo=None)  # Optuna's times are local
    trial.datetime_complete = ended
    trial.datetime_start = ended - timedelta(seconds=row["train_seconds"])
    return trial


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna without its log and without its remarks on what is experimental."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
