"""A recorded trial as a value, and the way from it to one that can be run.

`sweep.explain` and `sweep.verifying` run recorded trials again; what either does with the
outcome is its own affair. A record may come from anywhere, so that it is checked. Reads no
database itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sweep.errors import DatabaseError, LeaksweepError, MisuseError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.optimizers import registry
from sweep.values.outcome import CAUSE_FLAGS, Environment, Measurement, StepRecord
from sweep.values.setting import PlannedTrial, canonical_json
from sweep.values.words import Axis

PLAN = ("workload", "steps", "options", "fingerprint", *(axis.value for axis in Axis))
"""The columns that say which trial it was."""
SHOWN_COLUMNS = (
    *("verdict", "error", "moved", "sideways"),
    *(field.name for field in fields(Measurement)),
    *("causes", "unexplained", *CAUSE_FLAGS),
)
"""The columns that say what it showed, which is what a replay is held against."""
OF_TRIAL = (*PLAN, *SHOWN_COLUMNS, "optimizer_package")
"""All of these that are columns of ``trial``."""
OF_ENVIRONMENT = tuple(field.name for field in fields(Environment))
SURROUNDINGS = (*OF_ENVIRONMENT, "optimizer_package")
"""What decides the bits of an outcome besides the trial itself, by column."""
STEP = tuple(field.name for field in fields(StepRecord))
KIND_WATCH = "watch"
"""The workload of a row that `sweep.watching` recorded."""


@dataclass(frozen=True, slots=True)
class RecordedTrial:
    """One recorded trial.

    Attributes:
        name: what messages call it, such as "Trial 7".
        where: where it was read from, for people.
        number: its number there.
        columns: those of `PLAN`, `SHOWN_COLUMNS` and `SURROUNDINGS`, by name; null where an older
            schema has none, and a surrounding that a file has no column for is not there.
        steps: its rows of ``step``, in order; none unless it was traced.
    """

    name: str
    where: str
    number: int
    columns: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class TrialSource:
    """Recorded trials that can be read by their numbers.

    Attributes:
        where: where they are, for people.
        numbers: their numbers, in order.
        read: those of the numbers that it is given, which come in order, from one call to the
            next as well; one that has gone meanwhile is left out.
    """

    where: str
    numbers: Sequence[int]
    read: Callable[[Sequence[int]], list[RecordedTrial]]


def trial_again(record: RecordedTrial, *, allow_import: bool = False) -> PlannedTrial:
    """The trial that was recorded, ready to run.

    Imports no code that the row names unless ``allow_import``: raises MisuseError instead,
    and where `watch` recorded the row. Raises DatabaseError for one that this program, as it
    is here, would not write.
    """
    _check_it_may_run(record, allow_import)
    shown, where = f"{record.name} in {record.where}", record.where
    try:
        planned = _checked(record.columns, record.name.lower())
    except (LeaksweepError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DatabaseError(f"{shown} cannot be run again here: {error}", url=where) from error
    if planned.fingerprint != record.columns["fingerprint"]:
        raise DatabaseError(
            f"{shown} has a fingerprint of another setting; it was recorded by another version "
            f"of this program, or changed since.",
            url=where,
        )
    return planned


def _check_it_may_run(record: RecordedTrial, allow_import: bool) -> None:
    name, row = record.name, record.columns
    if row["workload"] == KIND_WATCH:
        raise MisuseError(
            f"{name} is what `watch` saw of a training loop, which is not here to be "
            f"replayed. The view `leak` has its causes."
        )
    for column in ("optimizer", "workload"):
        if ":" in str(row[column]) and not allow_import:
            raise MisuseError(
                f"{name} has {column} {row[column]}, and to replay it is to import and "
                f"run that code. If you trust it, add --allow-import."
            )


def _checked(row: Mapping[str, Any], source: str) -> PlannedTrial:
    """The row's trial, by way of a spec of one point.

    Such a spec states no option that the optimizer's own row sets.
    """
    own = json.loads(canonical_json(dict(registry.lookup(row["optimizer"]).options)))
    options = {n: v for n, v in json.loads(row["options"]).items() if (n, v) not in own.items()}
    raw = {
        "name": source,
        "workload": row["workload"],
        "steps": row["steps"],
        "grid": [{axis.value: [row[axis]] for axis in Axis if row[axis] is not None}],
        "options": {row["optimizer"]: options} if options else {},
    }
    (planned,) = Grid(Spec.checked(raw, source))
    # By the name that it was recorded with: once a schedule could have several.
    return replace(planned, setting=replace(planned.setting, schedule=row["schedule"]))
