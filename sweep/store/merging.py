"""Sweeps of other databases, merged into this one with the environments that they ran in.

The other database may come from anywhere, and is only read. How two grids become one is for
whoever calls to say.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from os.path import samefile
from typing import Any

from sqlalchemy import Connection

from sweep.errors import MisuseError
from sweep.store.checked import not_ours
from sweep.store.inserting import (
    ROWS_A_STATEMENT,
    put_environment,
    put_steps,
    put_trials,
)
from sweep.store.models import EnvironmentRow, StepRow, SweepRow, TrialRow
from sweep.store.query import checked_rows, sweep_status
from sweep.store.store import Store
from sweep.store.url import parse_url
from sweep.values.words import Verdict

Unite = Callable[[str, str], tuple[str, int]]
"""From two specs, the recorded and the other one, the spec of both and its number of trials.

Raises MisuseError for two that cannot be one."""

_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of one sweep of another database.

    Attributes:
        sweep: its name.
        added: trials that were not here, or only as failed ones.
        there: trials that were here already.
        is_new: whether there was no sweep of that name here.
    """

    sweep: str
    added: int
    there: int
    is_new: bool


def merge_sweeps(
    store: Store, other: str, *, unite: Unite, names: Sequence[str] = ()
) -> list[Merged]:
    """Takes the sweeps of the database at ``other`` into ``store``; all, or those of ``names``.

    A trial that is here already stays as it is, unless it failed here and not there. A sweep of
    a name that is here gets the spec that ``unite`` makes of both. Commits as it goes: after an
    interruption the same merge again adds what is lacking. Raises
    MisuseError, before anything is written, for the database itself, for sweeps that somebody
    is running, and for two of one name that cannot be one; NotThereError for a name that the
    other database has not got; DatabaseError for one that cannot be read.
    """
    for name in names:
        sweep_status(other, name)  # raises, with the nearest names, where there is none
    _check_another(store, other)
    environments = {row.pop("id"): row for row in checked_rows(other, EnvironmentRow)}
    chosen = [row for row in checked_rows(other, SweepRow) if not names or row["name"] in names]
    united = [row | _united(store, row, unite) for row in chosen]
    return [_merged(store, other, environments, row) for row in united]


def _check_another(store: Store, other: str) -> None:
    paths = [path for path in (parse_url(other).path, parse_url(store.url).path) if path]
    same = len(paths) == 2 and all(path.exists() for path in paths) and samefile(*paths)
    if same or other == store.url:
        raise MisuseError(f"{store.shown} cannot be merged into itself; name another database.")


def _united(store: Store, theirs: _Row, unite: Unite) -> _Row:
    """The spec that the sweep will have here, and its number of trials."""
    ours = store.sweep(theirs["name"])
    if ours is None:
        return {}
    store.check_nobody_runs(ours)
    if ours.spec == theirs["spec"]:
        return {"planned": max(ours.planned, theirs["planned"])}
    spec, planned = unite(ours.spec, theirs["spec"])
    return {"spec": spec, "planned": planned}


def _merged(store: Store, other: str, environments: Mapping[int, _Row], theirs: _Row) -> Merged:
    is_new = store.sweep(theirs["name"]) is None
    sweep = store.record_sweep(
        theirs["name"], theirs["spec"], theirs["planned"], created_at=theirs["created_at"]
    )
    recorded, sound = (store.recorded(sweep.id, but_failed=each) for each in (False, True))
    trials = checked_rows(other, TrialRow, where=f"sweep_id = {theirs['id']:d}")
    added = there = 0
    with store.writing("merge into") as connection:
        while chunk := list(islice(trials, ROWS_A_STATEMENT)):
            new = [row for row in chunk if _adds(row, recorded, sound)]
            added += len(new)
            there += len(chunk) - len(new)
            _put(connection, sweep.id, other, environments, new)
    return Merged(sweep.name, added, there, is_new)


def _adds(row: _Row, recorded: Container[str], sound: Container[str]) -> bool:
    """Whether the trial is not here, or is here as one that failed and it did not."""
    known = recorded if row["verdict"] == Verdict.FAILED else sound
    return row["fingerprint"] not in known


def _put(
    connection: Connection,
    sweep_id: int,
    other: str,
    environments: Mapping[int, _Row],
    trials: Sequence[_Row],
) -> None:
    ids = {}
    for number in sorted({row["environment_id"] for row in trials}):
        if number not in environments:
            shown = parse_url(other).shown
            raise not_ours(shown, f"a trial's environment_id {number} is of none")
        ids[number] = put_environment(connection, environments[number])
    theirs = {row.pop("id"): row["fingerprint"] for row in trials}
    ours = {"sweep_id": sweep_id}
    rows = [row | ours | {"environment_id": ids[row["environment_id"]]} for row in trials]
    written = put_trials(connection, rows, traced=False)
    listed = ", ".join(map(str, theirs)) or "NULL"
    steps = [
        row | {"trial_id": written[theirs[row["trial_id"]]]}
        for row in checked_rows(other, StepRow, where=f"trial_id IN ({listed})")
        if theirs[row["trial_id"]] in written
    ]
    put_steps(connection, written.values(), steps)
