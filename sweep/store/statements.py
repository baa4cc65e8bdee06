"""The statements that insert, for SQLite and for PostgreSQL; built once a kind of database."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Insert,
    Select,
    Text,
    Update,
    bindparam,
    false,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from sweep.store.models import Base, EnvironmentRow, StepRow, SweepRow, TrialRow
from sweep.values.words import Verdict

_HAS_STEPS = select(StepRow.step).where(StepRow.trial_id == TrialRow.id).exists()
_KEPT_ON_REPLACING = frozenset({"id", "sweep_id", "fingerprint"})


@cache
def insert_sweep(dialect: str) -> Insert:
    """Inserts a sweep where there is none of that name; its row, if it did."""
    return insert_unless_there(dialect, SweepRow).returning(*SweepRow.__table__.columns)


def exchange_spec(name: str, old: str, new: str, planned: int) -> Update:
    """Changes the spec of the sweep of that ``name`` that has the spec ``old``; its row."""
    changed = update(SweepRow).where(SweepRow.name == name, SweepRow.spec == old)
    return changed.values(spec=new, planned=planned).returning(*SweepRow.__table__.columns)


@cache
def upsert_trials(dialect: str, *, traced: bool) -> Insert:
    """Inserts trials, replacing failed ones; id and fingerprint of each that it wrote.

    ``traced`` ones replace those without steps, too.
    """
    statement = _insert(dialect, TrialRow)
    replaced = {
        column.name: column
        for column in statement.excluded
        if column.name not in _KEPT_ON_REPLACING
    }
    return statement.on_conflict_do_update(
        index_elements=["sweep_id", "fingerprint"],
        set_=replaced,
        where=or_(TrialRow.verdict == Verdict.FAILED.value, ~_HAS_STEPS if traced else false()),
    ).returning(TrialRow.id, TrialRow.fingerprint)


@cache
def find_recorded(*, but_failed: bool, but_untraced: bool) -> Select[str]:
    """Finds the fingerprints that a sweep has recorded, without some if so asked.

    Those that failed, and those that neither failed nor have steps.
    """
    statement = select(TrialRow.fingerprint).where(TrialRow.sweep_id == bindparam("sweep_id"))
    if but_untraced:
        statement = statement.where(or_(TrialRow.verdict == Verdict.FAILED.value, _HAS_STEPS))
    return statement.where(TrialRow.verdict != Verdict.FAILED.value) if but_failed else statement


@cache
def find_recorded_among(dialect: str, *, but_failed: bool, but_untraced: bool) -> Select[str]:
    """Finds those of ``fingerprints`` that `find_recorded` would find.

    They travel as one value, JSON or an array: thousands of values in a statement take longer
    to write than to look up.
    """
    known = TrialRow.fingerprint.in_(select(each_of(dialect, "fingerprints")))
    found = find_recorded(but_failed=but_failed, but_untraced=but_untraced)
    return found.where(known)


def each_of(dialect: str, name: str) -> ColumnElement[str]:
    """The values of a list that is bound to ``name``, as a column."""
    if dialect == "postgresql":
        return func.unnest(bindparam(name, type_=postgresql.ARRAY(Text))).column_valued()
    return func.json_each(bindparam(name, type_=JSON)).table_valued("value").c.value


def insert_unless_there(dialect: str, model: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Inserts rows of the table; one that would repeat what is unique is left out."""
    return _insert(dialect, model).on_conflict_do_nothing()


@cache
def find_environment() -> Select[Any]:
    """Finds the id of an environment by all its other columns, null among them."""
    columns = [column for column in EnvironmentRow.__table__.columns if column.name != "id"]
    matches = [column.is_not_distinct_from(bindparam(column.name)) for column in columns]
    return select(func.min(EnvironmentRow.id)).where(*matches)


def _insert(dialect: str, model: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """The dialect's own INSERT, which knows ON CONFLICT; both spell it alike."""
    return postgresql.insert(model) if dialect == "postgresql" else sqlite.insert(model)
