"""A recorded trial as a value: the columns that are read of it, and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sweep.values.outcome import CAUSE_FLAGS, Environment, Measurement, StepRecord
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
FLAGS = ("moved", "diverged", "sideways", *CAUSE_FLAGS)
"""The columns that are true or false."""
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
