"""How a connection that writes is opened, on each kind of database."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, QueuePool

from sweep.errors import DatabaseError
from sweep.store.failures import driver_missing
from sweep.store.url import DatabaseUrl, Dialect

BUSY_TIMEOUT_S = 90.0
"""How long to wait for another writer's lock: longer than a backup or a slow disk takes."""

READS_ONLY = "leaksweep_reads_only"
"""Execution option of a transaction that takes no write lock on SQLite."""


def writing_engine(
    url: DatabaseUrl,
    *,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    foreign_keys: bool = True,
    pooled: bool = True,
) -> Engine:
    """An engine that may write to ``url``; connects to nothing yet.

    Raises DatabaseError when the driver is not installed or the URL does not hold together.
    """
    try:
        engine = create_engine(url.text, poolclass=QueuePool if pooled else NullPool)
    except ImportError as error:
        raise driver_missing(url) from error
    except (ArgumentError, ValueError) as error:
        raise DatabaseError(f"{url.shown} is no valid database URL.", url=url.shown) from error
    if url.backend is Dialect.SQLITE:
        _set_up_sqlite(engine, busy_timeout_s, foreign_keys)
    return engine


def _set_up_sqlite(engine: Engine, busy_timeout_s: float, foreign_keys: bool) -> None:
    """Takes transactions out of the sqlite3 module's hands, which leaves DDL outside of them."""

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {round(busy_timeout_s * 1000)}",
            f"foreign_keys = {'ON' if foreign_keys else 'OFF'}",
            "synchronous = NORMAL",  # with WAL: a power cut may lose the last commits, no more
            "trusted_schema = OFF",  # triggers of a stranger's file call no function of ours
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE, as a lock that is waited for at the start cannot fail half way.
        reads_only = connection.get_execution_options().get(READS_ONLY, False)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
