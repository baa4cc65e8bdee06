"""Sweeps kept in order: renamed, deleted, and taken over from where they were run before.

What may be done to what is recorded besides adding to it; `sweep.store.merging` takes from
other databases.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from sweep.errors import MisuseError, NotThereError
from sweep.store.models import StepRow, SweepRow, TrialRow
from sweep.store.query import no_such_sweep
from sweep.store.store import RecordedSweep, Store
from sweep.values.setting import canonical_json, check_sweep_name


@dataclass(frozen=True, slots=True)
class Contents:
    """What there is of a sweep: its trials, and their rows of ``step``."""

    sweep: str
    trials: int
    steps: int


def rename_sweep(store: Store, name: str, new: str) -> None:
    """Gives the sweep ``name`` another name, in its spec, too. Commits.

    Raises NotThereError where there is none, and MisuseError where the new name is none or
    taken, or somebody is running the sweep.
    """
    check_sweep_name(new)
    with store.writing("rename a sweep in") as connection:
        sweep = _sweep(connection, name)
        store.check_nobody_runs(sweep)
        taken = select(SweepRow.id).where(SweepRow.name == new, SweepRow.id != sweep.id)
        if connection.execute(taken).first() is not None:
            raise MisuseError(
                f"The database has a sweep named {new!r} already. Take another name, or delete "
                f"or rename that one first."
            )
        changed = {"name": new, "spec": _renamed(sweep.spec, new)}
        connection.execute(update(SweepRow).where(SweepRow.id == sweep.id).values(changed))


def contents(store: Store, name: str) -> Contents:
    """What `delete_sweep` would delete. Reads only; raises NotThereError where there is none."""
    with store.reading("read") as connection:
        return _contents(connection, _sweep(connection, name))


def delete_sweep(store: Store, name: str) -> Contents:
    """Deletes the sweep with its trials and their steps. Commits.

    Environments stay, as a driver of another sweep may be about to refer to one.

    Raises NotThereError where there is none, and MisuseError where somebody is running it.
    """
    with store.writing("delete a sweep in") as connection:
        sweep = _sweep(connection, name)
        store.check_nobody_runs(sweep)
        gone = _contents(connection, sweep)
        connection.execute(delete(TrialRow).where(TrialRow.sweep_id == sweep.id))
        connection.execute(delete(SweepRow).where(SweepRow.id == sweep.id))
    return gone


def _sweep(connection: Connection, name: str) -> RecordedSweep:
    row = connection.execute(select(SweepRow.__table__).filter_by(name=name)).first()
    if row is None:
        raise NotThereError(no_such_sweep(name, list(connection.scalars(select(SweepRow.name)))))
    return RecordedSweep(row.id, row.name, row.spec, row.planned, row.created_at)


def _contents(connection: Connection, sweep: RecordedSweep) -> Contents:
    trials = select(TrialRow.id).where(TrialRow.sweep_id == sweep.id)
    steps = select(func.count()).where(StepRow.trial_id.in_(trials))
    return Contents(
        sweep.name,
        connection.execute(select(func.count()).select_from(trials.subquery())).scalar_one(),
        connection.execute(steps).scalar_one(),
    )


def _renamed(spec: str, name: str) -> str:
    """The spec with that name in it; as it is where it is none."""
    try:
        return canonical_json(json.loads(spec) | {"name": name})
    except (ValueError, TypeError, RecursionError):
        return spec
