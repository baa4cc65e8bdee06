"""The store: what a sweep has planned and finished, in a database.

Owns every statement that writes. Knows planned trials and outcomes, and nothing of how
either is made.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, Self

from alembic.util import CommandError
from sqlalchemy import Connection, Engine, Insert, Row, Select, Update, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from sweep.errors import DatabaseError, MisuseError
from sweep.store.activity import is_running, present
from sweep.store.checked import checked
from sweep.store.engine import BUSY_TIMEOUT_S, READS_ONLY, writing_engine
from sweep.store.failures import check_is_file, database_error, primary_code
from sweep.store.inserting import (
    ROWS_A_STATEMENT,
    find_recorded,
    insert_unless_there,
    is_among,
    put_environment,
    put_steps,
    put_trials,
)
from sweep.store.migrate import migrate
from sweep.store.models import EnvironmentRow, SweepRow, TrialRow
from sweep.store.rows import step_rows, trial_row
from sweep.store.soundness import SameFile, check_one_name, check_whole
from sweep.store.url import DatabaseUrl, parse_url
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Verdict

_LOOK_S = 0.05  # how often a lock is tried for which SQLite does not wait


@dataclass(frozen=True, slots=True)
class RecordedSweep:
    """A row of ``sweep``; ``spec`` is canonical JSON and ``created_at`` is UTC."""

    id: int
    name: str
    spec: str
    planned: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Missing:
    """Trials that a sweep has no outcome of, lazily and in order.

    Attributes:
        recorded: how many of the planned trials it has one of.
        trials: the others.
    """

    recorded: int
    trials: Callable[[], Iterator[PlannedTrial]]

    def __iter__(self) -> Iterator[PlannedTrial]:
        """What was recorded meanwhile is left out."""
        return self.trials()


class Store:
    """A database open for writing; a context manager that closes it.

    Safe to use from several threads, and from several processes with a store each. Every
    method raises DatabaseError where the database fails it.

    Attributes:
        url: the database's URL. May hold a password: never print it.
        shown: the URL without it.
    """

    def __init__(self, url: DatabaseUrl, engine: Engine) -> None:
        self._url = url
        self._engine = engine
        self._file = SameFile(url)
        self.url = url.text
        self.shown = url.shown

    @classmethod
    def open(cls, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Store:
        """The store at ``url``, created or brought to today's schema where it has to be.

        Makes the folder of a SQLite database. Raises DatabaseError, having changed nothing,
        for a URL that does not hold together, a file that is no database, a damaged one, one of
        two names, a newer schema, or another program's database.
        """
        parsed = parse_url(url)
        with _explained(parsed, "open"):
            if parsed.path is not None:
                check_is_file(parsed, parsed.path)
                parsed.path.parent.mkdir(parents=True, exist_ok=True)
            check_one_name(parsed)
            check_whole(parsed)
            migrate(parsed, busy_timeout_s=busy_timeout_s)
            engine = writing_engine(parsed, busy_timeout_s=busy_timeout_s)
            if parsed.path is not None:
                _use_write_ahead_log(engine, busy_timeout_s)
            return cls(parsed, engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        with nullcontext() if error is None else suppress(DatabaseError):  # which is told already
            self.close()

    def close(self) -> None:
        """Closes every connection; SQLite then folds its log into the file and removes it.

        Raises DatabaseError where the file was moved, replaced or written over since the last
        transaction. The log of one that has another place by now is folded into it there: by its
        name it would be applied to the file that is here now.
        """
        try:
            if not self._file.told:
                self._file.check()
        finally:
            if self._file.is_elsewhere:
                self._fold_log()
            self._file.close()
            self._engine.dispose()

    def _fold_log(self) -> None:
        with suppress(sqlite3.Error), closing(self._engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def sweep(self, name: str) -> RecordedSweep | None:
        """The sweep of that name; None if there is none. Reads only."""
        with self.reading("read") as connection:
            row = connection.execute(select(SweepRow.__table__).filter_by(name=name)).first()
        return None if row is None else _recorded(row, self.shown)

    def record_sweep(
        self, name: str, spec: str, planned: int, *, created_at: datetime | None = None
    ) -> RecordedSweep:
        """The sweep of that name with this spec (canonical JSON) and number of trials.

        Inserts it, or updates the recorded one; whether it may change is for the caller to
        say. Commits. Two drivers may do this at once.
        """
        while True:
            there = self.sweep(name)
            old = None if there is None else there.spec
            recorded = self.exchange_spec(name, old, spec, planned, created_at=created_at)
            if recorded is not None:
                return recorded

    def exchange_spec(
        self,
        name: str,
        old: str | None,
        new: str,
        planned: int,
        *,
        created_at: datetime | None = None,
    ) -> RecordedSweep | None:
        """The sweep of that name with the spec ``new`` in place of ``old``; a new one for None.

        None, and nothing is changed, where it has another spec than ``old`` by now, so that
        of two drivers that extend a sweep at once the second looks again. Commits.
        """
        with self.writing("record a sweep in") as connection:
            if old is None:
                made = created_at or datetime.now(UTC)
                change: Insert | Update = insert_unless_there(connection, SweepRow).values(
                    name=name, spec=new, planned=planned, created_at=made
                )
            else:
                recorded = update(SweepRow).where(SweepRow.name == name, SweepRow.spec == old)
                change = recorded.values(spec=new, planned=planned)
            row = connection.execute(change.returning(*SweepRow.__table__.columns)).first()
        return None if row is None else _recorded(row, self.shown)

    @contextmanager
    def running(self, sweep_id: int) -> Iterator[None]:
        """Says to others that the sweep is being run, until its body ends."""
        with present(self._url, self._engine, sweep_id):
            yield

    def check_nobody_runs(self, sweep: RecordedSweep) -> None:
        """Raises MisuseError where somebody is running the sweep at this moment."""
        if is_running(self._url, sweep.id):
            raise MisuseError(
                f"Somebody is running the sweep {sweep.name!r} in {self.shown}. Wait until it is "
                f"finished, or interrupt it, and give the same command again."
            )

    def recorded(self, sweep_id: int, *, but_failed: bool = False) -> frozenset[str]:
        """The fingerprints of the sweep's trials, or of those that did not fail. Reads only."""
        return self._found(find_recorded(sweep_id, but_failed=but_failed, but_untraced=False))

    def missing(
        self,
        sweep_id: int,
        planned: Collection[PlannedTrial],
        *,
        retry_failed: bool = False,
        traced: bool = False,
    ) -> Missing:
        """Those of ``planned`` that the sweep has no outcome of yet.

        With ``retry_failed``, a trial recorded as failed is missing too; ``traced``, one that
        has not failed and has no steps. Reads only; holds the fingerprints recorded before
        (130 MB a million).
        """
        statement = find_recorded(sweep_id, but_failed=retry_failed, but_untraced=traced)
        before = self._found(statement)

        def trials() -> Iterator[PlannedTrial]:
            # Most of a sweep that resumes is settled by one scan, a tenth of the time of asking
            # for each; what it does not settle is asked for late, as another driver may be at it.
            remaining = (trial for trial in planned if trial.fingerprint not in before)
            while chunk := list(islice(remaining, ROWS_A_STATEMENT)):
                asked = is_among(self._engine.dialect, [trial.fingerprint for trial in chunk])
                recorded = self._found(statement.where(asked))
                yield from (trial for trial in chunk if trial.fingerprint not in recorded)

        recorded = sum(each.fingerprint in before for each in planned) if before else 0
        return Missing(recorded, trials)

    def devices(self, sweep_id: int) -> frozenset[str]:
        """What the sweep's trials ran on: ``cpu``, or ``cuda`` and which. Reads only."""
        used = select(TrialRow.environment_id).where(TrialRow.sweep_id == sweep_id)
        return self._found(select(EnvironmentRow.device).where(EnvironmentRow.id.in_(used)))

    def write(self, sweep_id: int, outcomes: Sequence[Outcome]) -> None:
        """Records ``outcomes`` in one transaction.

        A trial recorded as failed is replaced, steps included; any other that is recorded
        already stays as it is, but for one without steps that now has some.
        """
        ordered = _one_each(outcomes)
        if not ordered:
            return
        with self.writing("write to") as connection:
            environments = {outcome.environment for outcome in ordered}
            in_order = sorted(environments, key=repr)  # one for all: no two can deadlock
            ids = {each: put_environment(connection, asdict(each)) for each in in_order}
            written: dict[str, int] = {}
            for traced in (False, True):
                of_kind = [each for each in ordered if bool(each.steps) is traced]
                rows = [trial_row(each, sweep_id, ids[each.environment]) for each in of_kind]
                written |= put_trials(connection, rows, traced=traced)
            steps = [
                row
                for each in ordered
                if (trial_id := written.get(each.planned.fingerprint)) is not None
                for row in step_rows(each, trial_id)
            ]
            put_steps(connection, written.values(), steps)

    def tally(self, sweep_id: int) -> Counter[Verdict]:
        """How many trials of the sweep have each verdict. Reads only."""
        statement = (
            select(TrialRow.verdict, func.count())
            .where(TrialRow.sweep_id == sweep_id)
            .group_by(TrialRow.verdict)
        )
        with self.reading("read") as connection:
            rows = connection.execute(statement).all()
        word = partial(checked, kind=str, column="trial.verdict", nullable=False, shown=self.shown)
        return Counter({Verdict(word(verdict)): number for verdict, number in rows})

    def _found(self, statement: Select[str]) -> frozenset[str]:
        with self.reading("read") as connection:
            return frozenset(connection.scalars(statement))

    @contextmanager
    def writing(self, doing: str) -> Iterator[Connection]:
        """A transaction that commits at its end; ``doing`` completes "Cannot ..." in messages."""
        with _explained(self._url, doing):
            self._file.check()
            with self._engine.begin() as connection:
                yield connection
                self._file.check()  # what is rolled back is run again; what is lost is not
            self._file.note()

    @contextmanager
    def reading(self, doing: str) -> Iterator[Connection]:
        """A transaction that takes no lock for writing."""
        reader = self._engine.execution_options(**{READS_ONLY: True})
        with _explained(self._url, doing), reader.begin() as connection:
            yield connection


@contextmanager
def _explained(url: DatabaseUrl, doing: str) -> Iterator[None]:
    """Turns what the database raises into a DatabaseError that says what to do.

    A ValueError or TypeError is of a column that holds what this program does not write.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, CommandError, OSError, *_NOT_OF_ITS_KIND) as error:
        raise database_error(url, doing, error) from error


_NOT_OF_ITS_KIND = (ValueError, TypeError)


def _use_write_ahead_log(engine: Engine, busy_timeout_s: float) -> None:
    """Lets readers and a writer work at once; a property of the file, set once for all.

    Waits for another program's lock, which SQLite does not do by itself here.
    """
    deadline = time.monotonic() + busy_timeout_s
    with closing(engine.raw_connection()) as connection:
        while True:
            try:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
                connection.cursor().execute("SELECT count(*) FROM sqlite_master")
                return  # and the log is there by now
            except sqlite3.OperationalError as error:
                busy = primary_code(error) == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_S)


def _recorded(row: Row[Any], shown: str) -> RecordedSweep:
    planned = checked(row.planned, int, "sweep.planned", nullable=False, shown=shown)
    spec = checked(row.spec, str, "sweep.spec", nullable=False, shown=shown)
    return RecordedSweep(row.id, row.name, spec, planned, row.created_at)


def _one_each(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """One outcome a trial, a failed one only where there is no other, by fingerprint.

    In one order for everybody, so that two drivers on a server cannot deadlock.
    """
    chosen: dict[str, Outcome] = {}
    for outcome in outcomes:
        earlier = chosen.get(outcome.planned.fingerprint)
        if earlier is None or earlier.verdict is Verdict.FAILED:
            chosen[outcome.planned.fingerprint] = outcome
    return [chosen[fingerprint] for fingerprint in sorted(chosen)]
