"""The statements that insert, for SQLite and for PostgreSQL; built once a kind of database."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import JSON, ColumnElement, Insert, Select, Text, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from sweep.store.models import Base, EnvironmentRow, SweepRow, TrialRow
from sweep.values.words import Verdict

_KEPT_ON_REPLACING = frozenset({"id", "sweep_id", "fingerprint"})


@cache
def upsert_sweep(dialect: str) -> Insert:
    """Inserts a sweep, or updates the spec and the number of the one of that name; its row."""
    statement = _insert(dialect, SweepRow)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["name"], set_={"spec": new.spec, "planned": new.planned}
    ).returning(*SweepRow.__table__.columns)


@cache
def upsert_trials(dialect: str) -> Insert:
    """Inserts trials, replacing failed ones; id and fingerprint of each that it wrote."""
    statement = _insert(dialect, TrialRow)
    replaced = {
        column.name: column
        for column in statement.excluded
        if column.name not in _KEPT_ON_REPLACING
    }
    return statement.on_conflict_do_update(
        index_elements=["sweep_id", "fingerprint"],
        set_=replaced,
        where=TrialRow.verdict == Verdict.FAILED.value,
    ).returning(TrialRow.id, TrialRow.fingerprint)


@cache
def find_recorded(*, but_failed: bool) -> Select[str]:
    """Finds the fingerprints that a sweep has recorded, ``but_failed`` ones if so asked."""
    statement = select(TrialRow.fingerprint).where(TrialRow.sweep_id == bindparam("sweep_id"))
    return statement.where(TrialRow.verdict != Verdict.FAILED.value) if but_failed else statement


@cache
def find_recorded_among(dialect: str, *, but_failed: bool) -> Select[str]:
    """Finds those of ``fingerprints`` that `find_recorded` would find.

    They travel as one value, JSON or an array: thousands of values in a statement take longer
    to write than to look up.
    """
    known = TrialRow.fingerprint.in_(select(_each(dialect, "fingerprints")))
    return find_recorded(but_failed=but_failed).where(known)


def _each(dialect: str, name: str) -> ColumnElement[str]:
    """The values of a list that is bound to ``name``, as a column."""
    if dialect == "postgresql":
        return func.unnest(bindparam(name, type_=postgresql.ARRAY(Text))).column_valued()
    return func.json_each(bindparam(name, type_=JSON)).table_valued("value").c.value


@cache
def add_environment(dialect: str) -> Insert:
    """Inserts an environment unless it is there."""
    return _insert(dialect, EnvironmentRow).on_conflict_do_nothing()


@cache
def find_environment() -> Select[Any]:
    """Finds the id of an environment by all its other columns, null among them."""
    columns = [column for column in EnvironmentRow.__table__.columns if column.name != "id"]
    matches = [column.is_not_distinct_from(bindparam(column.name)) for column in columns]
    return select(func.min(EnvironmentRow.id)).where(*matches)


def _insert(dialect: str, model: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """The dialect's own INSERT, which knows ON CONFLICT; both spell it alike."""
    return postgresql.insert(model) if dialect == "postgresql" else sqlite.insert(model)
