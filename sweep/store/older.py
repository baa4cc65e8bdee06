"""A database of an older schema, seen as one of today's by whoever only reads.

A reader must not migrate. Views of its own connection, in the database that SQLite keeps for
temporary things, stand before the tables of the file, with null in the columns that these lack.
"""

from __future__ import annotations

import sqlite3
from types import MappingProxyType

from sweep.store.views import VIEWS

ADDED = MappingProxyType(
    {
        "trial": ("causes", "unexplained", "score", "frozen_norm", "proposal"),
        "environment": ("system", "machine", "cpu", "cpu_capability", "blas", "blas_mode"),
        "step": ("score",),
    }
)
"""Columns that revisions after the first have added; a test compares them with the models."""


def as_today(connection: sqlite3.Connection) -> None:
    """Gives today's columns and views to ``connection``, which is open to an older schema."""
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
