"""An Optuna storage in a database: checked before it is touched, and written in bulk.

Optuna adds a trial by some hundred statements and a commit, 0.1 s on SQLite; here all trials
of a study are one transaction, at less than a hundredth of that. It writes Optuna's tables
by their own definition in the database, and only of the one schema that is tested.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, MetaData, Table, func, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from sweep.errors import DatabaseError, NotThereError
from sweep.searching.study import quiet_optuna
from sweep.store.engine import READS_ONLY, writing_engine
from sweep.store.failures import database_error
from sweep.store.url import DatabaseUrl, parse_url, without_password

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

SCHEMA = "v3.2.0.a"
"""The schema that Optuna has had since its version 3.2, and that is written here."""
CHUNK = 500  # trials inserted at once

_OURS_OR_NOTHING = "studies"  # the table by which a storage is told from another program's
_TABLES = (
    *("studies", "study_directions", "study_user_attributes", "trials"),
    *("trial_params", "trial_values", "trial_user_attributes"),
)


@contextmanager
def opened(url: str, *, create: bool) -> Iterator[tuple[DatabaseUrl, RDBStorage]]:
    """Optuna's own storage at ``url``, with its tables; ``create`` makes what is not there.

    Raises NotThereError for one that is not there, and DatabaseError, having changed nothing,
    for a URL of another kind, another program's database, and another schema than `SCHEMA`.
    What the database itself raises inside comes out as DatabaseError, too.
    """
    from optuna.storages import RDBStorage

    parsed = parse_url(url)
    with explained(parsed, "open"):
        if parsed.path is not None and not parsed.path.exists():
            if not create:
                raise NotThereError(f"There is no Optuna storage at {parsed.shown}.")
            parsed.path.parent.mkdir(parents=True, exist_ok=True)
        _check_tables(parsed, create)
        with quiet_optuna():
            storage = RDBStorage(parsed.text, skip_table_creation=not create)
    try:
        _check_schema(storage, parsed)
        with explained(parsed, "use"), quiet_optuna():
            yield parsed, storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def explained(url: DatabaseUrl, doing: str) -> Iterator[None]:
    """Turns what SQLAlchemy and Optuna say of the storage into a DatabaseError."""
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise database_error(url, doing, error) from error
    except (StorageInternalError, RuntimeError) as error:
        words = without_password(str(error)).strip().splitlines()[0]
        raise DatabaseError(f"Cannot {doing} {url.shown}: {words}", url=url.shown) from error


class Tables:
    """Optuna's tables in one open transaction, which holds the lock on one study.

    Attributes:
        study_id: the study's id; None until it is `create`d.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        """Finds the study ``name`` and locks it, or the whole of a SQLite storage."""
        metadata = MetaData()
        metadata.reflect(connection, only=_TABLES)
        self._connection = connection
        self._tables: Mapping[str, Table] = metadata.tables
        studies = self._tables["studies"]
        found = select(studies.c.study_id).where(studies.c.study_name == name).with_for_update()
        self.study_id: int | None = connection.scalar(found)

    def create(self, name: str, directions: Sequence[str], attributes: Mapping[str, Any]) -> None:
        """Makes the study of that name, which must not be there, with its user attributes."""
        studies, place = self._tables["studies"], self._tables["study_directions"]
        self._connection.execute(studies.insert(), {"study_name": name})
        found = select(studies.c.study_id).where(studies.c.study_name == name)
        self.study_id = self._connection.execute(found).scalar_one()
        rows = [
            {"study_id": self.study_id, "objective": number, "direction": direction.upper()}
            for number, direction in enumerate(directions)
        ]
        self._connection.execute(place.insert(), rows)
        self._insert(
            "study_user_attributes",
            [
                {"study_id": self.study_id, "key": key, "value_json": json.dumps(value)}
                for key, value in attributes.items()
            ],
        )

    def attribute(self, key: str) -> list[tuple[str, Any]]:
        """The state of each trial of the study that has the user attribute, and its value."""
        trials, attributes = self._tables["trials"], self._tables["trial_user_attributes"]
        rows = self._connection.execute(
            select(trials.c.state, attributes.c.value_json)
            .join(attributes, attributes.c.trial_id == trials.c.trial_id)
            .where(trials.c.study_id == self.study_id, attributes.c.key == key)
        )
        return [(str(state), json.loads(value)) for state, value in rows]

    def distributions(self, key: str) -> dict[str, str]:
        """A distribution of each parameter, as JSON, of trials that have the user attribute."""
        trials, params = self._tables["trials"], self._tables["trial_params"]
        attributes = self._tables["trial_user_attributes"]
        rows = self._connection.execute(
            select(params.c.param_name, func.min(params.c.distribution_json))
            .join(trials, trials.c.trial_id == params.c.trial_id)
            .join(attributes, attributes.c.trial_id == trials.c.trial_id)
            .where(trials.c.study_id == self.study_id, attributes.c.key == key)
            .group_by(params.c.param_name)
        )
        return {str(name): str(distribution) for name, distribution in rows}

    def replace_distribution(self, parameter: str, old: str, new: str) -> None:
        """Gives each trial of the study whose ``parameter`` has the distribution a new one."""
        trials, params = self._tables["trials"], self._tables["trial_params"]
        of_study = select(trials.c.trial_id).where(trials.c.study_id == self.study_id)
        self._connection.execute(
            params.update()
            .where(params.c.param_name == parameter, params.c.distribution_json == old)
            .where(params.c.trial_id.in_(of_study))
            .values(distribution_json=new)
        )

    def add(self, trials: Iterable[FrozenTrial]) -> None:
        """Appends ``trials``, whose values are finite, numbered from where the study ends."""
        table = self._tables["trials"]
        of_study = table.c.study_id == self.study_id
        number = self._connection.scalar(select(func.count()).where(of_study)) or 0
        remaining = iter(trials)
        while chunk := list(islice(remaining, CHUNK)):
            rows = [
                {"study_id": self.study_id, "number": place, **_trial_row(trial)}
                for place, trial in enumerate(chunk, start=number)
            ]
            self._connection.execute(table.insert(), rows)
            added = select(table.c.trial_id).where(of_study, table.c.number >= number)
            ids = self._connection.scalars(added.order_by(table.c.number)).all()
            self._add_parts(list(zip(ids, chunk, strict=True)))
            number += len(chunk)

    def _add_parts(self, trials: Sequence[tuple[int, FrozenTrial]]) -> None:
        from optuna.distributions import distribution_to_json

        known = {d: distribution_to_json(d) for _, t in trials for d in t.distributions.values()}
        params = [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": trial.distributions[name].to_internal_repr(value),
                "distribution_json": known[trial.distributions[name]],
            }
            for trial_id, trial in trials
            for name, value in trial.params.items()
        ]
        values = [
            {"trial_id": key, "objective": place, "value": value, "value_type": "FINITE"}
            for key, trial in trials
            for place, value in enumerate(trial.values or ())
        ]
        attributes = [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for trial_id, trial in trials
            for key, value in trial.user_attrs.items()
        ]
        self._insert("trial_params", params)
        self._insert("trial_values", values)
        self._insert("trial_user_attributes", attributes)

    def _insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._connection.execute(self._tables[table].insert(), rows)


@contextmanager
def writing(url: DatabaseUrl, study: str) -> Iterator[Tables]:
    """The storage's tables in one transaction: all that is done inside is kept, or nothing."""
    engine = writing_engine(url)
    try:
        with explained(url, "write to"), engine.begin() as connection:
            yield Tables(connection, study)
    finally:
        engine.dispose()


def _trial_row(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "state": trial.state.name,
        "datetime_start": _naive_utc(trial.datetime_start),
        "datetime_complete": _naive_utc(trial.datetime_complete),
    }


def _naive_utc(local: datetime | None) -> datetime | None:
    """A time as Optuna stores it, from one as Optuna gives it."""
    return None if local is None else local.astimezone(UTC).replace(tzinfo=None)


def _check_tables(url: DatabaseUrl, create: bool) -> None:
    """Raises DatabaseError for another program's database, NotThereError for an empty one."""
    engine: Engine = writing_engine(url)
    try:
        with engine.execution_options(**{READS_ONLY: True}).connect() as connection:
            tables = inspect(connection).get_table_names()
    finally:
        engine.dispose()
    if _OURS_OR_NOTHING in tables or (not tables and create):
        return
    if not tables:
        raise NotThereError(f"There is no Optuna storage at {url.shown}: it is empty.")
    raise DatabaseError(
        f"{url.shown} is no Optuna storage: it has other tables, such as {tables[0]!r}. Name "
        f"another database with --storage.",
        url=url.shown,
    )


def _check_schema(storage: RDBStorage, url: DatabaseUrl) -> None:
    found = storage.get_current_version()
    if found != SCHEMA:
        raise DatabaseError(
            f"{url.shown} has Optuna's schema {found}, and this needs {SCHEMA}. "
            f"`optuna storage upgrade --storage URL` brings an older one up to date.",
            url=url.shown,
        )
