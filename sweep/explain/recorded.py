"""A recorded trial, looked up by its number in a database that may come from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweep.errors import NotThereError
from sweep.store.query import run_query
from sweep.store.url import parse_url
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial
from sweep.verifying.recorded import ENVIRONMENT, PLAN, SURROUNDINGS, planned_trial, surroundings

_TRIAL = (*PLAN, "verdict", "first_leak_step", "optimizer_package")
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

    Raises NotThereError where there is no such trial, and what `planned_trial` and
    `run_query` raise.
    """
    row = _row(url, trial_id)
    return Recorded(
        planned=planned_trial(
            row, name=f"Trial {trial_id}", where=parse_url(url).shown, allow_import=allow_import
        ),
        verdict=str(row["verdict"]),
        first_leak_step=row["first_leak_step"],
        surroundings={name: row[name] for name in SURROUNDINGS},
    )


def differences(recorded: Recorded, outcome: Outcome) -> dict[str, tuple[object, object]]:
    """What is not as it was when the trial was recorded: there and here, by column."""
    there = recorded.surroundings
    here = surroundings(outcome)
    return {name: (there[name], here[name]) for name in here if there[name] != here[name]}


def _row(url: str, trial_id: int) -> dict[str, Any]:
    columns = [f"trial.{name}" for name in _TRIAL] + [f"environment.{n}" for n in ENVIRONMENT]
    query = _QUERY.format(columns=", ".join(columns), trial_id=trial_id)
    with run_query(url, query) as found:
        row = next(iter(found), None)
    if row is None:
        raise NotThereError(
            f"There is no trial {trial_id} in {parse_url(url).shown}. Trials are numbered by the "
            f"column id of the table trial; `leaksweep sql` can list them."
        )
    return dict(zip((*_TRIAL, *ENVIRONMENT), row, strict=True))
