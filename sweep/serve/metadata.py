"""What Datasette is told: titles, meanings, facets, units, and which questions are ready.

Meanings of tables and columns come from `sweep.store.describe`. The questions, each one SELECT on
SQLite, are declared here: the page and docs/queries.md are made from them. A parameter is written
``:name``; left empty, it is the empty text. What a summary table of `analysis` says, or the front
page, or a trial's card, is not asked a second time in SQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sweep.store.describe import describe_schema
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
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


@dataclass(frozen=True, slots=True)
class CannedQuery:
    """A question with the SELECT that answers it.

    Attributes:
        name: what its address ends with.
        question: what a person asks; the page's title.
        meaning: what a row is and what an empty parameter does, in plain text.
        sql: the SELECT.
    """

    name: str
    question: str
    meaning: str
    sql: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, in the order in which they first appear."""
        return tuple(dict.fromkeys(_PARAMETER.findall(self.sql)))


_SETTINGS = """\
SELECT sweep, optimizer, zero_grad, schedule, freeze, lr, weight_decay, momentum,
       leaks, trials, leak_rate, max_drift, diverged, workload, steps, options
FROM leak_rate_by_setting
WHERE leaks > 0 AND :sweep IN ('', sweep) AND :optimizer IN ('', optimizer)
ORDER BY leak_rate DESC, max_drift DESC"""

_SEEDS = """\
SELECT sweep, optimizer, zero_grad, schedule, freeze, lr, weight_decay, momentum,
       leaks, holds, max_drift, diverged, workload, steps, options
FROM leak_rate_by_setting
WHERE leaks > 0 AND holds > 0 AND :sweep IN ('', sweep)
ORDER BY min(leaks, holds) DESC, max_drift DESC"""

_TRACE = """\
WITH traced AS (
    SELECT trial.id, verdict FROM trial JOIN sweep ON sweep.id = trial.sweep_id
    WHERE :sweep IN ('', sweep.name) AND EXISTS (SELECT 1 FROM step WHERE trial_id = trial.id)
),
chosen AS (
    SELECT CAST(coalesce(nullif(:trial_id, ''),
                         (SELECT min(id) FROM traced WHERE verdict = 'leaks'),
                         (SELECT min(id) FROM traced)) AS INTEGER) AS id
)
SELECT step, iif(frozen, 'frozen', 'attached') AS layer_is, grad,
       CASE WHEN frozen AND moved THEN 'leak' WHEN moved THEN 'moved' ELSE 'still' END AS layer_did,
       max_change, loss, trial_id
FROM step WHERE trial_id = (SELECT id FROM chosen)
ORDER BY step"""

QUERIES = (
    CannedQuery(
        "which_settings_leak",
        "Which settings leak?",
        "One setting a row, its seeds folded: those that leak most often and drift farthest "
        "first. Give a sweep's or an optimizer's name for that one alone.",
        _SETTINGS,
    ),
    CannedQuery(
        "where_seeds_disagree",
        "Where does the seed decide?",
        "One setting a row that leaks with some seeds and holds with others.",
        _SEEDS,
    ),
    CannedQuery(
        "trace",
        "What happened on every step?",
        "One step a row, for one trial that ran with --trace. Give a trial_id; left empty, it is "
        "the first traced trial that leaks. No rows: it was not traced.",
        _TRACE,
    ),
)
"""Every question, in the order in which the page lists them."""


def metadata() -> dict[str, Any]:
    """Everything about the database, in the form that Datasette 0.65 takes."""
    tables: dict[str, Any] = {
        table.name: {
            "description": table.meaning,
            "columns": {column.name: column.meaning for column in table.columns},
            "facets": list(_FACETS.get(table.name, ())),
            "units": _UNITS.get(table.name, {}),
            "label_column": _LABELS.get(table.name),
        }
        for table in describe_schema()
    }
    queries = {
        query.name: {
            "title": query.question,
            "description": query.meaning,
            "sql": query.sql,
            "params": list(query.parameters),
            "hide_sql": True,
        }
        for query in QUERIES
    }
    told = {
        "title": "Tables, views and questions",
        "tables": {**tables, VERSION_TABLE: {"hidden": True}},
        "queries": queries,
    }
    return {"title": TITLE, "databases": {DATABASE: told}}
