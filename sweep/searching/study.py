"""A recorded trial as Optuna has trials: parameters with distributions, values, state, attributes.

    a row of ``trial`` ──► axis_distributions, axis_parameters ──► frozen_trial ──► a study

A null axis is no parameter of its trial, which is how Optuna has conditional ones. Reads a
database, and never writes one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sweep.errors import NotThereError
from sweep.searching.objective import Objective, values
from sweep.store.checked import not_ours
from sweep.store.models import TrialRow
from sweep.store.query import checked_rows, sweep_id
from sweep.store.url import parse_url
from sweep.values.outcome import CAUSE_FLAGS, Measurement
from sweep.values.words import Axis, Verdict

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

MEASURED_COLUMNS = tuple(field.name for field in fields(Measurement))
STUDIED_COLUMNS = (
    *("id", "fingerprint", "workload", "steps", *(axis.value for axis in Axis), "options"),
    *("environment_id", "optimizer_package", "verdict", *MEASURED_COLUMNS),
    *("causes", "unexplained", *CAUSE_FLAGS, "sideways"),
    *("train_seconds", "error", "finished_at", "proposal"),
)
"""The columns of ``trial`` that `recorded_rows` reads and `frozen_trial` needs."""

LOG_FROM = 10.0
"""Numbers whose largest is so many times their smallest are spaced by their logarithm."""

_NUMBERS = (Axis.LR, Axis.WEIGHT_DECAY, Axis.MOMENTUM)


def recorded_rows(url: str, sweep: str) -> list[dict[str, Any]]:
    """The sweep's trials by `STUDIED_COLUMNS`, in the order in which they finished.

    Raises NotThereError where there is no such sweep, and as `checked_rows` does.
    """
    where, shown = f"sweep_id = {sweep_id(url, sweep):d}", parse_url(url).shown
    rows = checked_rows(url, TrialRow, STUDIED_COLUMNS, where=where, order="finished_at, id")
    return [_possible(row, shown) for row in rows]


def rows_so_far(url: str, sweep: str) -> list[dict[str, Any]]:
    """As `recorded_rows`; none where there is no such sweep yet."""
    try:
        return recorded_rows(url, sweep)
    except NotThereError:
        return []


def axis_distributions(rows: Iterable[Mapping[str, Any]]) -> dict[str, BaseDistribution]:
    """For each axis that any of ``rows`` has, the distribution that all their values are from.

    Words are categories, in the order in which they come; numbers span a range from their
    smallest to their largest, as logarithms where they are far apart.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    rows = list(rows)
    found: dict[str, BaseDistribution] = {}
    for axis in Axis:
        distinct = list(dict.fromkeys(row[axis] for row in rows if row[axis] is not None))
        if not distinct:
            continue
        low, high = min(distinct), max(distinct)
        if axis in _NUMBERS:
            log = low > 0 and high >= LOG_FROM * low
            found[axis.value] = FloatDistribution(low, high, log=log)
        elif axis is Axis.SEED:
            found[axis.value] = IntDistribution(low, high)
        else:
            found[axis.value] = CategoricalDistribution(distinct)
    return found


def axis_parameters(row: Mapping[str, Any]) -> dict[str, Any]:
    """The axes of ``row`` that are not null, by name."""
    return {axis.value: row[axis] for axis in Axis if row[axis] is not None}


def frozen_trial(
    row: Mapping[str, Any],
    objectives: Sequence[Objective],
    parameters: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
) -> FrozenTrial:
    """The trial of ``row`` with the values of ``objectives``, for a study of their directions.

    ``distributions`` may have more than ``parameters`` needs. The state is FAIL for a failed
    trial, and PRUNED, which a sampler takes for worse than any, for one that has no values;
    see `sweep.searching.objective.values`. The user attributes are those of `attributes`.
    """
    from optuna.trial import TrialState, create_trial

    found = values(row, objectives)
    failed = row["verdict"] == Verdict.FAILED
    unranked = TrialState.FAIL if failed else TrialState.PRUNED
    trial = create_trial(
        state=unranked if found is None else TrialState.COMPLETE,
        values=found,
        params=dict(parameters),
        distributions={name: distributions[name] for name in parameters},
        user_attrs=attributes(row),
    )
    ended = row["finished_at"].astimezone().replace(tzinfo=None)  # Optuna's times are local
    trial.datetime_complete = ended
    trial.datetime_start = ended - timedelta(seconds=row["train_seconds"])
    return trial


def attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    """What ``row`` says beyond its axes: verdict, causes that moved the layer, measures, and so on.

    Values are what JSON has, but that infinity stays infinity. ``causes`` is a list of names
    for a trial that leaks and whose causes were found, and null for any other; ``cause_sets``
    is the column ``causes``.
    """
    found = row["verdict"] == Verdict.LEAKS and row["unexplained"] is None
    return {
        "trial": row["id"],
        "fingerprint": row["fingerprint"],
        "workload": row["workload"],
        "steps": row["steps"],
        "options": row["options"],
        "optimizer_package": row["optimizer_package"],
        "verdict": str(row["verdict"]),
        "causes": [cause for cause in CAUSE_FLAGS if row[cause]] if found else None,
        "cause_sets": row["causes"],
        "unexplained": row["unexplained"],
        "sideways": row["sideways"],
        **{measure: _number(row[measure]) for measure in MEASURED_COLUMNS},
        "error": row["error"],
    }


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna without its log and without its remarks on what is experimental."""
    import warnings

    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _possible(row: dict[str, Any], shown: str) -> dict[str, Any]:
    """``row``. Raises DatabaseError for a number that no grid and no search could have."""
    for name in _NUMBERS:
        if row[name] is not None and not 0 <= row[name] < math.inf:
            raise not_ours(shown, f"trial.{name} is {row[name]}")
    return row


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
