"""Rows put into the tables, inside a transaction that is the caller's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, delete, insert

from sweep.store.models import EnvironmentRow, StepRow
from sweep.store.statements import find_environment, insert_unless_there, upsert_trials

ROWS_A_STATEMENT = 5000
"""Rows in one statement; SQLite takes at most 32766 values in a list."""

_Row = Mapping[str, Any]


def put_environment(connection: Connection, row: _Row) -> int:
    """The id of the environment with these columns, inserted if it is not there."""
    found: int | None = connection.execute(find_environment(), row).scalar_one()
    if found is None:  # asked first, as a row with nulls conflicts with no other
        connection.execute(insert_unless_there(connection.dialect.name, EnvironmentRow), row)
        found = connection.execute(find_environment(), row).scalar_one()
    return found


def put_trials(connection: Connection, rows: Sequence[_Row], *, traced: bool) -> dict[str, int]:
    """The ids of those of ``rows`` that were written, by fingerprint.

    A trial recorded as failed is replaced; with ``traced``, also one that has no steps. Any
    other stays as it is.
    """
    if not rows:
        return {}
    statement = upsert_trials(connection.dialect.name, traced=traced)
    return {row.fingerprint: row.id for row in connection.execute(statement, rows)}


def put_steps(connection: Connection, trial_ids: Iterable[int], rows: Sequence[_Row]) -> None:
    """Writes the steps of trials that have just been written, in place of old ones."""
    remaining = iter(trial_ids)
    while chunk := list(islice(remaining, ROWS_A_STATEMENT)):
        connection.execute(delete(StepRow).where(StepRow.trial_id.in_(chunk)))
    if rows:
        connection.execute(insert(StepRow), rows)
