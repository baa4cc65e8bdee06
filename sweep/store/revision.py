"""Whose database this is, and of which schema: decided before anything is read or written.

Imports neither SQLAlchemy nor Alembic, so that reading commands can ask the same question. They
must not migrate either: they see a database of an older schema as one of today's.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from sweep.errors import DatabaseError, NotThereError
from sweep.store.url import DatabaseUrl, Dialect
from sweep.store.views import VIEWS

if TYPE_CHECKING:
    import psycopg

REVISIONS = (
    "leaksweep_0001",
    "leaksweep_0002",
    "leaksweep_0003",
    "leaksweep_0004",
    "leaksweep_0005",
)
"""Every released revision of the schema, oldest first. A test compares them with Alembic's."""

HEAD = REVISIONS[-1]

ADDED = MappingProxyType(
    {
        "trial": ("causes", "unexplained", "score", "frozen_norm", "proposal"),
        "environment": ("system", "machine", "cpu", "cpu_capability", "blas", "blas_mode"),
        "step": ("score",),
    }
)
"""Columns that revisions after the first have added; a test compares them with the models."""

VERSION_TABLE = "alembic_version"

# The tables, and whether what is read from them is what they hold: others are virtual, or
# compute a column when it is read, which may take for ever.
_TABLES = {
    Dialect.SQLITE: """
SELECT name, rootpage > 0 AND NOT EXISTS
    (SELECT 1 FROM pragma_table_xinfo(entry.name) WHERE hidden > 1)
FROM sqlite_master AS entry WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
""",
    Dialect.POSTGRESQL: (
        "SELECT tablename, true FROM pg_tables WHERE schemaname = current_schema()"
    ),
}
_OUR_TABLES = frozenset({"environment", "sweep", "trial", "step"})


class SchemaState(StrEnum):
    """How a database's schema stands to the one that this program writes."""

    EMPTY = "empty"  # no tables at all
    OLDER = "older"
    CURRENT = "current"


def schema_state(
    url: DatabaseUrl, connection: sqlite3.Connection | psycopg.Connection
) -> SchemaState:
    """How the schema of the database that ``connection`` is open to stands to ours.

    Raises DatabaseError for another program's database, for one of a newer leaksweep, and for
    one in which something that is no plain table has the name of a table of ours.
    """
    is_plain = dict(connection.execute(_TABLES[url.backend]).fetchall())
    if not is_plain:
        return SchemaState.EMPTY
    revision = None
    if is_plain.get(VERSION_TABLE):
        query = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608 a constant
        (revision,) = connection.execute(query).fetchone() or (None,)
    odd = sorted(name for name in _OUR_TABLES if not is_plain.get(name))
    if revision in REVISIONS and odd:
        raise DatabaseError(
            f"{url.shown} is damaged, or somebody changed it: {', '.join(odd)} is no plain table. "
            f"Restore a copy, or name another database with --db.",
            url=url.shown,
        )
    if revision in REVISIONS:
        return SchemaState.CURRENT if revision == HEAD else SchemaState.OLDER
    if revision is not None and is_plain.keys() >= _OUR_TABLES:
        raise DatabaseError(
            f"{url.shown} was written by a newer leaksweep: its schema is {revision!r}, and this "
            f"one knows none after {HEAD!r}. Nothing was changed; update leaksweep to use it.",
            url=url.shown,
        )
    raise DatabaseError(
        f"{url.shown} is the database of another program: it has tables, but not leaksweep's. "
        f"Nothing was changed; name another database with --db.",
        url=url.shown,
    )


def recorded_schema(
    url: DatabaseUrl, connection: sqlite3.Connection | psycopg.Connection
) -> SchemaState:
    """As `schema_state` has it. Raises NotThereError for a database without tables, too."""
    state = schema_state(url, connection)
    if state is SchemaState.EMPTY:
        raise NotThereError(f"{url.shown} holds no sweep yet; `leaksweep run` makes one.")
    return state


def as_today(connection: sqlite3.Connection) -> None:
    """Gives today's columns and views to ``connection``, which is open to an older schema.

    They are views of its own, in the database that SQLite keeps for temporary things, which
    stand before the tables of the file, with null in the columns that these lack.
    """
    connection.execute("PRAGMA temp_store = MEMORY")
    for table, added in ADDED.items():
        found = connection.execute("SELECT name FROM pragma_table_info(?, 'main')", (table,))
        there = {name for (name,) in found}
        lacking = ", ".join(f"NULL AS {name}" for name in added if name not in there)
        if lacking:
            select = f"SELECT *, {lacking} FROM main.{table}"  # noqa: S608 names of ours
            connection.execute(f"CREATE TEMP VIEW {table} AS {select}")
    for view in VIEWS:
        connection.execute(f"CREATE TEMP VIEW {view.name} AS {view.select}")
