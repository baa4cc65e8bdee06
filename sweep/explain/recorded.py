"""A recorded trial, read back from a database that may come from anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sweep.errors import DatabaseError, LeaksweepError, MisuseError, NotThereError
from sweep.grid import Grid
from sweep.optimizers import registry
from sweep.outcome import Environment, Outcome
from sweep.query import run_query
from sweep.setting import PlannedTrial, canonical_json
from sweep.spec import Spec
from sweep.store.url import parse_url
from sweep.words import Axis

WATCHED = "watch"
"""The workload of a row that `sweep.watching` recorded."""

_ENVIRONMENT = tuple(field.name for field in fields(Environment))
_TRIAL = (
    *("workload", "steps", "options", "fingerprint", "verdict", "first_leak_step"),
    *("optimizer_package", *Axis),
)
_QUERY = """
SELECT {columns} FROM trial JOIN environment ON environment.id = trial.environment_id
WHERE trial.id = {trial_id:d}
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the database says of a trial.

    Attributes:
        planned: the trial, checked as a spec is and ready to run again.
        verdict: the recorded one, as it stands there.
        first_leak_step: likewise.
        surroundings: the environment's columns and ``optimizer_package``, by name.
    """

    planned: PlannedTrial
    verdict: str
    first_leak_step: int | None
    surroundings: Mapping[str, object]


def recorded_trial(url: str, trial_id: int, *, allow_import: bool = False) -> Recorded:
    """The trial of that id in the database at ``url``; reads only.

    Imports no code that the database names unless ``allow_import``: raises MisuseError
    instead. Raises NotThereError where there is no such trial, DatabaseError for a row that
    this program would not write, and what `run_query` raises.
    """
    row = _row(url, trial_id)
    if row["workload"] == WATCHED:
        raise MisuseError(
            f"Trial {trial_id} is what `watch` saw of a training loop, which is not here to be "
            f"replayed. The view `leak` has its causes."
        )
    for column in ("optimizer", "workload"):
        if ":" in str(row[column]) and not allow_import:
            raise MisuseError(
                f"Trial {trial_id} has {column} {row[column]}, and to replay it is to import and "
                f"run that code. If you trust it, add --allow-import."
            )
    return Recorded(
        planned=_planned(row, url, trial_id),
        verdict=str(row["verdict"]),
        first_leak_step=row["first_leak_step"],
        surroundings={name: row[name] for name in (*_ENVIRONMENT, "optimizer_package")},
    )


def differences(recorded: Recorded, outcome: Outcome) -> dict[str, tuple[object, object]]:
    """What is not as it was when the trial was recorded: there and here, by column."""
    here = {name: getattr(outcome.environment, name) for name in _ENVIRONMENT}
    here["optimizer_package"] = outcome.optimizer_package
    there = recorded.surroundings
    return {name: (there[name], here[name]) for name in here if there[name] != here[name]}


def _row(url: str, trial_id: int) -> dict[str, Any]:
    columns = [f"trial.{name}" for name in _TRIAL] + [f"environment.{n}" for n in _ENVIRONMENT]
    query = _QUERY.format(columns=", ".join(columns), trial_id=trial_id)
    with run_query(url, query) as found:
        row = next(iter(found), None)
    if row is None:
        raise NotThereError(
            f"There is no trial {trial_id} in {parse_url(url).shown}. Trials are numbered by the "
            f"column id of the table trial; `leaksweep sql` can list them."
        )
    return dict(zip((*_TRIAL, *_ENVIRONMENT), row, strict=True))


def _planned(row: Mapping[str, Any], url: str, trial_id: int) -> PlannedTrial:
    """The row's trial. It goes through the checks of a spec: the row may hold anything."""
    try:
        options = _stated_options(row["optimizer"], row["options"])
        raw = {
            "name": f"trial {trial_id}",
            "workload": row["workload"],
            "steps": row["steps"],
            "grid": [{axis.value: [row[axis]] for axis in Axis if row[axis] is not None}],
            "options": {row["optimizer"]: options} if options else {},
        }
        planned = next(iter(Grid(Spec.checked(raw, f"trial {trial_id}"))))
    except (LeaksweepError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DatabaseError(
            f"Trial {trial_id} in {parse_url(url).shown} cannot be run again here: {error}",
            url=parse_url(url).shown,
        ) from error
    if planned.fingerprint != row["fingerprint"]:
        raise DatabaseError(
            f"Trial {trial_id} in {parse_url(url).shown} has a fingerprint of another setting; "
            f"it was recorded by another version of this program, or changed since.",
            url=parse_url(url).shown,
        )
    return planned


def _stated_options(optimizer: str, recorded: str) -> dict[str, Any]:
    """The recorded options without those that the optimizer's own row sets, as a spec has them."""
    options: dict[str, Any] = json.loads(recorded)
    own: dict[str, Any] = json.loads(canonical_json(dict(registry.lookup(optimizer).options)))
    return {name: value for name, value in options.items() if (name, value) not in own.items()}
