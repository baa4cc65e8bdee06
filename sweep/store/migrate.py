"""Brings a database to today's schema before it is written to, or refuses it unchanged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, text

from sweep.errors import DatabaseError
from sweep.store.engine import READS_ONLY, writing_engine
from sweep.store.models import Base
from sweep.store.revision import HEAD, SchemaState, schema_state
from sweep.store.url import DatabaseUrl, Dialect
from sweep.store.views import create_statements, drop_statements

SCRIPTS = Path(__file__).with_name("migrations")

_ADVISORY_LOCK = 0x6C65616B  # "leak": any number that no other program on the server uses


def migrate(url: DatabaseUrl, *, busy_timeout_s: float) -> None:
    """Brings the database at ``url`` to the newest schema, in one transaction.

    An older SQLite database is copied beside itself first. Raises DatabaseError, having
    changed nothing, for a newer schema, another program's database, or a failed check.
    """
    # Foreign keys are off, as SQLite changes a table by dropping it, which would cascade.
    engine = writing_engine(url, busy_timeout_s=busy_timeout_s, foreign_keys=False, pooled=False)
    reader = engine.execution_options(**{READS_ONLY: True})
    with reader.begin() as connection:
        if _state(connection, url) is SchemaState.CURRENT:
            return
    with engine.begin() as connection:
        _lock(connection, url)
        state = _state(connection, url)  # another process may have migrated it by now
        if state is SchemaState.CURRENT:
            return
        if state is SchemaState.OLDER and url.path is not None:
            back_up(url.path)
        upgrade(connection)
        _check_foreign_keys(connection, url)


def back_up(path: Path) -> Path:
    """Copies the SQLite database at ``path`` beside itself; the copy's path."""
    names = (path.with_name(f"{path.name}.backup-{number}") for number in count(1))
    target = next(name for name in names if not name.exists())
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
    return target


def _state(connection: Connection, url: DatabaseUrl) -> SchemaState:
    raw: Any = connection.connection.dbapi_connection
    return schema_state(url, raw)


def _lock(connection: Connection, url: DatabaseUrl) -> None:
    """Keeps other processes from migrating; SQLite's BEGIN IMMEDIATE has done so already."""
    if url.backend is Dialect.POSTGRESQL:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))


def upgrade(connection: Connection, to: str = "head") -> None:
    """Runs the revisions up to ``to`` inside the connection's own transaction."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["run"] = partial(_run_revisions, connection)
    command.upgrade(config, to)


def _run_revisions(connection: Connection) -> None:
    """Runs the revisions that Alembic has found, and remakes the views."""
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    for statement in drop_statements():  # a table under a view cannot be changed
        connection.execute(text(statement))
    context.run_migrations()
    if context.get_context().get_current_revision() == HEAD:
        for statement in create_statements():
            connection.execute(text(statement))


def _check_foreign_keys(connection: Connection, url: DatabaseUrl) -> None:
    if url.backend is not Dialect.SQLITE:
        return
    broken = connection.execute(text("PRAGMA foreign_key_check")).fetchone()
    if broken is not None:
        raise DatabaseError(
            f"{url.shown} has rows in {broken[0]} that refer to rows which are not there, so it "
            f"was not migrated; nothing was changed. A copy of it is beside it.",
            url=url.shown,
        )
