"""Trials that another sweep of the database has run already, taken over in place of training.

The same fingerprint in the same environment gives the same bits: `verify` and the tests of
belief hold that. Code of a user's own is no part of a fingerprint, so its trials are run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import groupby, islice

from sqlalchemy import ColumnElement, Connection, exists, func, insert, literal, select
from sqlalchemy.orm import aliased

from sweep.store.inserting import (
    ROWS_A_STATEMENT,
    find_environment,
    insert_unless_there,
    is_among,
)
from sweep.store.models import StepRow, SweepRow, TrialRow
from sweep.store.store import Store
from sweep.values.outcome import Environment
from sweep.values.setting import PlannedTrial
from sweep.values.words import Verdict

Package = Callable[[str], str | None]
"""The library and version, as ``optimizer_package`` has it, that an optimizer is of here."""

_COPIED = [c.name for c in TrialRow.__table__.columns if c.name not in ("id", "sweep_id")]
_STEP = [c.name for c in StepRow.__table__.columns if c.name != "trial_id"]


def take_over(
    store: Store,
    sweep_id: int,
    planned: Iterable[PlannedTrial],
    here: Callable[[], Environment],
    package: Package,
    *,
    traced: bool = False,
) -> int:
    """How many of ``planned`` were taken over into the sweep, with their steps. Commits as it goes.

    ``here`` gives the environment that they would run in, and is only asked where there is
    another sweep. With ``traced``, only trials that have steps are taken.
    """
    with store.reading("read") as connection:
        others = select(SweepRow.id).where(SweepRow.id != sweep_id)
        if connection.execute(others.limit(1)).first() is None:
            return 0
        environment = find_environment(connection, asdict(here()))
    if environment is None:
        return 0
    ours = (trial for trial in planned if ":" not in trial.setting.optimizer + trial.workload)
    taken = 0
    for optimizer, trials in groupby(ours, key=lambda trial: trial.setting.optimizer):
        same = [TrialRow.environment_id == environment]
        same.append(TrialRow.optimizer_package.is_not_distinct_from(package(optimizer)))
        if traced:
            same.append(exists().where(StepRow.trial_id == TrialRow.id))
        while chunk := list(islice(trials, ROWS_A_STATEMENT)):
            with store.writing("write to") as connection:
                found = _found(connection, sweep_id, chunk, same)
                taken += _copied(connection, sweep_id, found)
    return taken


def _found(
    connection: Connection,
    sweep_id: int,
    planned: Sequence[PlannedTrial],
    same: Sequence[ColumnElement[bool]],
) -> list[int]:
    """The ids of trials of other sweeps that are ``planned`` and did not fail, one each."""
    found = (
        select(func.min(TrialRow.id))
        .where(TrialRow.sweep_id.in_(select(SweepRow.id).where(SweepRow.id != sweep_id)))
        .where(is_among(connection.dialect, [trial.fingerprint for trial in planned]))
        .where(TrialRow.verdict != Verdict.FAILED.value, *same)
        .group_by(TrialRow.fingerprint)
    )
    return list(connection.scalars(found).all())


def _copied(connection: Connection, sweep_id: int, trial_ids: Sequence[int]) -> int:
    """How many of these trials are now the sweep's, too."""
    if not trial_ids:
        return 0
    columns = [TrialRow.__table__.c[name] for name in _COPIED]
    copies = select(literal(sweep_id), *columns).where(TrialRow.id.in_(trial_ids))
    into = ["sweep_id", *_COPIED]
    statement = insert_unless_there(connection, TrialRow).from_select(into, copies)
    written = list(connection.scalars(statement.returning(TrialRow.id)).all())
    old, new = aliased(TrialRow), aliased(TrialRow)
    steps = (
        select(new.id, *(StepRow.__table__.c[name] for name in _STEP))
        .join(old, old.id == StepRow.trial_id)
        .join(new, (new.fingerprint == old.fingerprint) & new.id.in_(written))
        .where(old.id.in_(trial_ids))
    )
    connection.execute(insert(StepRow).from_select(["trial_id", *_STEP], steps))
    return len(written)
