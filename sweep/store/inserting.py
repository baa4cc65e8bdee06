"""Rows put into the tables, and found again, on both kinds of database.

Inside a transaction that is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Select,
    Text,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from sweep.store.models import Base, EnvironmentRow, StepRow, TrialRow
from sweep.values.words import Verdict

ROWS_A_STATEMENT = 5000
"""Rows in one statement; SQLite takes at most 32766 values in a list."""

_FAILED = TrialRow.verdict == Verdict.FAILED.value
_HAS_STEPS = select(StepRow.step).where(StepRow.trial_id == TrialRow.id).exists()
_KEPT_ON_REPLACING = frozenset({"id", "sweep_id", "fingerprint"})
_Row = Mapping[str, Any]


def put_environment(connection: Connection, row: _Row) -> int:
    """The id of the environment with these columns, inserted if it is not there."""
    found = find_environment(connection, row)
    if found is None:  # asked first, as a row with nulls conflicts with no other
        connection.execute(insert_unless_there(connection, EnvironmentRow), row)
        found = find_environment(connection, row)
    assert found is not None  # noqa: S101 for mypy: it was inserted
    return found


def find_environment(connection: Connection, row: _Row) -> int | None:
    """The id of the environment with these columns, null among them; None if it is not there."""
    matches = [EnvironmentRow.__table__.c[name].is_not_distinct_from(row[name]) for name in row]
    return connection.scalar(select(func.min(EnvironmentRow.id)).where(*matches))


def put_trials(connection: Connection, rows: Sequence[_Row], *, traced: bool) -> dict[str, int]:
    """The ids of those of ``rows`` that were written, by fingerprint.

    A trial recorded as failed is replaced; with ``traced``, also one that has no steps. Any
    other stays as it is.
    """
    if not rows:
        return {}
    statement = _upsert_trials(connection.dialect.name, traced=traced)
    return {row.fingerprint: row.id for row in connection.execute(statement, rows)}


def put_steps(connection: Connection, trial_ids: Iterable[int], rows: Sequence[_Row]) -> None:
    """Writes the steps of trials that have just been written, in place of old ones."""
    remaining = iter(trial_ids)
    while chunk := list(islice(remaining, ROWS_A_STATEMENT)):
        connection.execute(delete(StepRow).where(StepRow.trial_id.in_(chunk)))
    if rows:
        connection.execute(insert(StepRow), rows)


def find_recorded(sweep_id: int, *, but_failed: bool, but_untraced: bool) -> Select[str]:
    """Finds the fingerprints that a sweep has recorded, without some if so asked.

    Those that failed, and those that neither failed nor have steps.
    """
    statement = select(TrialRow.fingerprint).where(TrialRow.sweep_id == sweep_id)
    if but_untraced:
        statement = statement.where(or_(_FAILED, _HAS_STEPS))
    return statement.where(~_FAILED) if but_failed else statement


def is_among(dialect: Dialect, fingerprints: Sequence[str]) -> ColumnElement[bool]:
    """Whether a trial has one of the ``fingerprints``.

    They travel as one value, JSON or an array: thousands of values in a statement take longer
    to write than to look up.
    """
    if dialect.name == "postgresql":
        array = bindparam(None, list(fingerprints), type_=postgresql.ARRAY(Text))
        return TrialRow.fingerprint.in_(select(func.unnest(array).column_valued()))
    listed = func.json_each(bindparam(None, list(fingerprints), type_=JSON))
    return TrialRow.fingerprint.in_(select(listed.table_valued("value").c.value))


def insert_unless_there(
    connection: Connection, model: type[Base]
) -> sqlite.Insert | postgresql.Insert:
    """Inserts rows of the table; one that would repeat what is unique is left out."""
    return _insert(connection.dialect.name, model).on_conflict_do_nothing()


@cache
def _upsert_trials(dialect: str, *, traced: bool) -> Insert:
    """Inserts trials, replacing failed ones; id and fingerprint of each that it wrote.

    ``traced`` ones replace those without steps, too.
    """
    statement = _insert(dialect, TrialRow)
    replaced = {c.name: c for c in statement.excluded if c.name not in _KEPT_ON_REPLACING}
    return statement.on_conflict_do_update(
        index_elements=["sweep_id", "fingerprint"],
        set_=replaced,
        where=or_(_FAILED, ~_HAS_STEPS if traced else false()),
    ).returning(TrialRow.id, TrialRow.fingerprint)


def _insert(dialect: str, model: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """The dialect's own INSERT, which knows ON CONFLICT; both spell it alike."""
    return postgresql.insert(model) if dialect == "postgresql" else sqlite.insert(model)
