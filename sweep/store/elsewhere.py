"""Trials that other sweeps of the database have recorded, and that need not be trained again.

A trial is its fingerprint; its outcome is that, the environment and the version of the
optimizer's library. Where all are the same, the row is copied. What a user's own code does is
in no fingerprint: such trials are trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Select, bindparam, func, select

from sweep.store.models import EnvironmentRow, TrialRow
from sweep.store.rows import environment_row
from sweep.store.statements import copy_trials, find_environment
from sweep.store.store import Store
from sweep.values.outcome import Environment
from sweep.values.setting import PlannedTrial
from sweep.values.words import Verdict


class Elsewhere:
    """What other sweeps have, taken into a sweep as its missing trials are asked for.

    Attributes:
        taken: how many trials were taken over so far.
    """

    def __init__(
        self,
        store: Store,
        sweep_id: int,
        facts: Mapping[str, str] | None,
        *,
        here: Callable[[], Environment],
        package: Callable[[str], str | None],
    ) -> None:
        """Looks once for trials of environments with these ``facts``; for none where None.

        ``here`` is asked for the whole environment, and ``package`` for the library of an
        optimizer and its version, when a trial is found that may be taken.
        """
        self._here = here
        self._package = package
        self.taken = 0
        self._store = store
        self._sweep_id = sweep_id
        self._found: dict[str, tuple[int, str | None]] = {}
        if facts is not None:
            with store.reading("read") as connection:
                rows = connection.execute(_of_others(facts), {"sweep_id": sweep_id})
                self._found = {row.fingerprint: (row.id, row.optimizer_package) for row in rows}

    def take(self, planned: Sequence[PlannedTrial]) -> set[str]:
        """Copies what others have of ``planned`` into the sweep; the fingerprints. Commits."""
        ids = [
            self._found[each.fingerprint][0]
            for each in planned
            if each.fingerprint in self._found
            and self._found[each.fingerprint][1] == self._package(each.setting.optimizer)
        ]
        if not ids:
            return set()
        with self._store.writing("write to") as connection:
            environment_id = connection.scalar(find_environment(), environment_row(self._here()))
            values = {"ids": ids, "environment_id": environment_id, "into": self._sweep_id}
            copied = set(connection.scalars(copy_trials(connection.dialect.name), values))
        self.taken += len(copied)
        return copied


def _of_others(facts: Mapping[str, str]) -> Select[str, int, str | None]:
    """The latest of each fingerprint that did not fail, of our own code alone."""
    newest = (
        select(func.max(TrialRow.id).label("id"))
        .join(EnvironmentRow, EnvironmentRow.id == TrialRow.environment_id)
        .where(
            TrialRow.sweep_id != bindparam("sweep_id"),
            TrialRow.verdict != Verdict.FAILED.value,
            TrialRow.optimizer.not_like("%:%"),
            TrialRow.workload.not_like("%:%"),
            TrialRow.workload != "watch",
            *(EnvironmentRow.__table__.columns[name] == value for name, value in facts.items()),
        )
        .group_by(TrialRow.fingerprint)
    )
    return select(TrialRow.fingerprint, TrialRow.id, TrialRow.optimizer_package).where(
        TrialRow.id.in_(newest)
    )
