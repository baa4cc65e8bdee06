"""From a recorded trial to one that can be run: checked, for it may come from anywhere.

`sweep.explain` and `sweep.verifying` run recorded trials again; what either does with the
outcome is its own affair. Reads no database itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sweep.errors import DatabaseError, LeaksweepError, MisuseError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.optimizers import registry
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial, canonical_json
from sweep.values.words import Axis
from sweep.verifying.recorded_trial import KIND_WATCH, OF_ENVIRONMENT, RecordedTrial


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


def surroundings(outcome: Outcome) -> dict[str, object]:
    """The `SURROUNDINGS` of a trial that has just been run, by column."""
    here: dict[str, object] = {name: getattr(outcome.environment, name) for name in OF_ENVIRONMENT}
    return here | {"optimizer_package": outcome.optimizer_package}


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
    """The row's trial, by way of a spec of one point."""
    options = _stated_options(row["optimizer"], row["options"])
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


def _stated_options(optimizer: str, recorded: str) -> dict[str, Any]:
    """The recorded options without those that the optimizer's own row sets, as a spec has them."""
    options: dict[str, Any] = json.loads(recorded)
    own: dict[str, Any] = json.loads(canonical_json(dict(registry.lookup(optimizer).options)))
    return {name: value for name, value in options.items() if (name, value) not in own.items()}
