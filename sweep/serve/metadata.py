"""What Datasette is told: titles, meanings, facets, units, and which questions are ready.

Meanings of tables and columns come from `sweep.store.describe`, the one place that has them.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from sweep.serve.queries import QUERIES, CannedQuery
from sweep.store.describe import TableDescription, describe_schema
from sweep.store.revision import VERSION_TABLE

DATABASE = "results"
"""The database's name on the page, whatever its file is called."""

STYLE = "style"
"""Where the page's own stylesheet is served."""

TITLE = "Which settings move a layer that was meant to keep still?"

_ABOUT = Markup(
    "<p>Somebody detaches a layer on some training steps so that it keeps still, and it moves "
    "all the same, as <code>optimizer.step()</code> does not live on gradients alone. These are "
    "the trials of sweeps over optimizers and their settings, with what moved the layer in each, "
    "read from the database as it is at this moment.</p>"
)
_OWN_SQL = Markup(
    '<p>Or <a href="/{}">write SQL of your own</a>: nothing here can change the database. '
    "<code>leaksweep show schema</code> describes every column.</p>"
    "<p>Remedies, causes, rules and failures are summary tables: "
    "<code>leaksweep table remedies</code> prints one, <code>leaksweep report</code> has all.</p>"
)
_QUESTIONS = Markup('<ul class="questions">{}</ul>')
_QUESTION = Markup('<li><a href="/{}/{}">{}</a> <span>{}</span></li>')

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


def metadata(shown: str) -> dict[str, Any]:
    """Everything about the database at the URL ``shown``, in the form Datasette 0.65 takes."""
    tables = {table.name: _table(table) for table in describe_schema()}
    return {
        "title": TITLE,
        "description_html": str(_front_page()),
        "source": shown,
        "extra_css_urls": [f"/{STYLE}/leaksweep.css"],
        "databases": {
            DATABASE: {
                "title": "Tables, views and questions",
                "tables": {**tables, VERSION_TABLE: {"hidden": True}},
                "queries": {query.name: _query(query) for query in QUERIES},
            }
        },
    }


def _front_page() -> Markup:
    questions = Markup("").join(
        _QUESTION.format(DATABASE, query.name, query.question, query.meaning) for query in QUERIES
    )
    return _ABOUT + _QUESTIONS.format(questions) + _OWN_SQL.format(DATABASE)


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
