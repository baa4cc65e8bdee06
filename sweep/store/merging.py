"""Sweeps of other databases, merged into this one with the environments that they ran in.

The other database may come from anywhere, and is only read. How two grids become one is for
whoever calls to say.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
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
from sweep.store.models import Base, EnvironmentRow, StepRow, SweepRow, TrialRow
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
    source = _Source(other)
    _check_another(store, other)
    chosen = [row for row in source.rows(SweepRow) if not names or row["name"] in names]
    united = [row | _united(store, row, unite) for row in chosen]
    return [_merged(store, source, row) for row in united]


class _Source:
    """The other database, row by checked row."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._shown = parse_url(url).shown

    def rows(self, model: type[Base], where: str = "true") -> Iterator[_Row]:
        """The rows of a table as its columns have them, by id. Raises DatabaseError."""
        return checked_rows(self.url, model, where=where)

    @cached_property
    def environments(self) -> Mapping[int, _Row]:
        """The columns of each environment but its id, by that."""
        return {row.pop("id"): row for row in self.rows(EnvironmentRow)}

    def environment(self, number: int) -> _Row:
        """The environment of that id. Raises DatabaseError for one that is not there."""
        if number not in self.environments:
            raise not_ours(self._shown, f"a trial's environment_id {number} is of none")
        return self.environments[number]


def _check_another(store: Store, other: str) -> None:
    path, here = parse_url(other).path, parse_url(store.url).path
    if other == store.url or (path is not None and here is not None and _same(path, here)):
        raise MisuseError(f"{store.shown} cannot be merged into itself; name another database.")


def _same(one: Path, two: Path) -> bool:
    return one.exists() and two.exists() and one.samefile(two)


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


def _merged(store: Store, source: _Source, theirs: _Row) -> Merged:
    is_new = store.sweep(theirs["name"]) is None
    sweep = store.record_sweep(
        theirs["name"], theirs["spec"], theirs["planned"], created_at=theirs["created_at"]
    )
    recorded, sound = (store.recorded(sweep.id, but_failed=each) for each in (False, True))
    trials = source.rows(TrialRow, f"sweep_id = {theirs['id']:d}")
    added = there = 0
    with store.writing("merge into") as connection:
        while chunk := list(islice(trials, ROWS_A_STATEMENT)):
            new = [row for row in chunk if _adds(row, recorded, sound)]
            added += len(new)
            there += len(chunk) - len(new)
            _put(connection, sweep.id, source, new)
    return Merged(sweep.name, added, there, is_new)


def _adds(row: _Row, recorded: Container[str], sound: Container[str]) -> bool:
    """Whether the trial is not here, or is here as one that failed and it did not."""
    known = recorded if row["verdict"] == Verdict.FAILED else sound
    return row["fingerprint"] not in known


def _put(connection: Connection, sweep_id: int, source: _Source, trials: Sequence[_Row]) -> None:
    ids = {}
    for number in sorted({row["environment_id"] for row in trials}):
        ids[number] = put_environment(connection, source.environment(number))
    theirs = {row["id"]: row["fingerprint"] for row in trials}
    rows = [
        {name: value for name, value in row.items() if name != "id"}
        | {"sweep_id": sweep_id, "environment_id": ids[row["environment_id"]]}
        for row in trials
    ]
    written = put_trials(connection, rows, traced=False)
    listed = ", ".join(map(str, theirs)) or "NULL"
    steps = [
        row | {"trial_id": written[theirs[row["trial_id"]]]}
        for row in source.rows(StepRow, f"trial_id IN ({listed})")
        if theirs[row["trial_id"]] in written
    ]
    put_steps(connection, written.values(), steps)
