"""What Datasette is told: titles, meanings, facets, units, and which questions are ready.

Meanings of tables and columns come from `sweep.store.describe`, the one place that has them.
"""

from __future__ import annotations

from typing import Any

from sweep.serve.queries import QUERIES, CannedQuery
from sweep.store.describe import TableDescription, describe_schema
from sweep.store.revision import VERSION_TABLE

DATABASE = "results"
"""The database's name on the page, whatever its file is called."""

STYLE = "style"
"""Where the page's own stylesheet and script are served."""

TITLE = "Which settings move a layer that was meant to keep still?"

_FACETS = {
    "trial": ("verdict", "optimizer", "zero_grad", "schedule", "freeze", "sweep_id"),
    "step": ("frozen", "grad", "moved"),
    "leak": ("sweep", "causes", "optimizer", "zero_grad", "schedule", "freeze"),
    "leak_rate_by_setting": ("sweep", "optimizer", "zero_grad", "schedule", "freeze"),
    "leak_rate_by_optimizer": ("sweep",),
    "leak_rate_by_zero_grad": ("sweep",),
}
_LABELS = {"sweep": "name", "environment": "torch"}
_UNITS = {"trial": {"train_seconds": "s"}}


def metadata() -> dict[str, Any]:
    """Everything about the database, in the form that Datasette 0.65 takes."""
    tables = {table.name: _table(table) for table in describe_schema()}
    return {
        "title": TITLE,
        "databases": {
            DATABASE: {
                "title": "Tables, views and questions",
                "tables": {**tables, VERSION_TABLE: {"hidden": True}},
                "queries": {query.name: _query(query) for query in QUERIES},
            }
        },
    }


def _table(table: TableDescription) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": table.meaning,
        "columns": {column.name: column.meaning for column in table.columns},
        "facets": list(_FACETS.get(table.name, ())),
        "units": _UNITS.get(table.name, {}),
    }
    if table.name in _LABELS:
        told["label_column"] = _LABELS[table.name]
    return told


def _query(query: CannedQuery) -> dict[str, Any]:
    return {
        "title": query.question,
        "description": query.meaning,
        "sql": query.sql,
        "params": list(query.parameters),
        "hide_sql": True,
    }
