"""The questions that the page has ready, each one SELECT on SQLite.

The one place that declares them: the page and docs/queries.md are made from here. A
parameter is written ``:name``; left empty, it is the empty text. What a summary table of
`analysis` says is asked of that table, not written a second time in SQL: rates, causes,
remedies and failures have one definition. So have the state of a sweep, on the front page, and
what moved one trial's layer, on its card.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
