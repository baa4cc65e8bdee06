"""Whose database this is, and of which schema: decided before anything is read or written.

Imports neither SQLAlchemy nor Alembic, so that reading commands can ask the same question.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from sweep.errors import DatabaseError

REVISIONS = ("leaksweep_0001", "leaksweep_0002", "leaksweep_0003")
"""Every released revision of the schema, oldest first. A test compares them with Alembic's."""

HEAD = REVISIONS[-1]

VERSION_TABLE = "alembic_version"

OUR_TABLES = frozenset({"environment", "sweep", "trial", "step"})


class SchemaState(StrEnum):
    """How a database's schema stands to the one that this program writes."""

    EMPTY = "empty"  # no tables at all
    OLDER = "older"
    CURRENT = "current"


def schema_state(tables: Collection[str], revision: str | None, *, shown: str) -> SchemaState:
    """How a database with these tables, stamped with ``revision``, stands to ours.

    Raises DatabaseError for another program's database, and for one of a newer leaksweep.

    >>> schema_state([], None, shown="sqlite:///x.db").value
    'empty'
    """
    if not tables:
        return SchemaState.EMPTY
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
