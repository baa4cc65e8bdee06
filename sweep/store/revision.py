"""Whose database this is, and of which schema: decided before anything is read or written.

Imports neither SQLAlchemy nor Alembic, so that reading commands can ask the same question.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from enum import StrEnum

from sweep.errors import DatabaseError

REVISIONS = (
    "leaksweep_0001",
    "leaksweep_0002",
    "leaksweep_0003",
    "leaksweep_0004",
    "leaksweep_0005",
)
"""Every released revision of the schema, oldest first. A test compares them with Alembic's."""

HEAD = REVISIONS[-1]

VERSION_TABLE = "alembic_version"

_TABLES = """
SELECT name, rootpage > 0 AND NOT EXISTS
    (SELECT 1 FROM pragma_table_xinfo(entry.name) WHERE hidden > 1) AS plain
FROM sqlite_master AS entry WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
"""

OUR_TABLES = frozenset({"environment", "sweep", "trial", "step"})


class SchemaState(StrEnum):
    """How a database's schema stands to the one that this program writes."""

    EMPTY = "empty"  # no tables at all
    OLDER = "older"
    CURRENT = "current"


def plain_tables(connection: sqlite3.Connection) -> tuple[set[str], set[str]]:
    """The tables of a SQLite database, and those of them that hold what is read from them.

    The others are virtual, or compute a column when it is read, which may take for ever.
    """
    found = connection.execute(_TABLES).fetchall()
    return {name for name, _ in found}, {name for name, plain in found if plain}


def schema_state(
    tables: Collection[str],
    revision: str | None,
    *,
    shown: str,
    plain: Collection[str] | None = None,
) -> SchemaState:
    """How a database with these tables, stamped with ``revision``, stands to ours.

    ``plain`` are those that hold what is read from them; all, if it is not given. Raises
    DatabaseError for another program's database, for one of a newer leaksweep, and for one in
    which something else has the name of a table of ours.

    >>> schema_state([], None, shown="sqlite:///x.db").value
    'empty'
    """
    if not tables:
        return SchemaState.EMPTY
    odd = sorted(OUR_TABLES - set(tables if plain is None else plain))
    if revision in REVISIONS and odd:
        raise DatabaseError(
            f"{shown} is damaged, or somebody changed it: {', '.join(odd)} is no plain table. "
            f"Restore a copy, or name another database with --db.",
            url=shown,
        )
    if revision == HEAD:
        return SchemaState.CURRENT
    if revision in REVISIONS:
        return SchemaState.OLDER
    if revision is not None and set(tables) >= OUR_TABLES:
        raise DatabaseError(
            f"{shown} was written by a newer leaksweep: its schema is {revision!r}, and this one "
            f"knows none after {HEAD!r}. Nothing was changed; update leaksweep to use it.",
            url=shown,
        )
    raise DatabaseError(
        f"{shown} is the database of another program: it has tables, but not leaksweep's. "
        f"Nothing was changed; name another database with --db.",
        url=shown,
    )
