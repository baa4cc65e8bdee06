"""The questions that the page has ready, each one SELECT on SQLite.

The one place that declares them: the page and docs/queries.md are made from here. A
parameter is written ``:name``; left empty, it is the empty text. What a summary table of
`analysis` says is asked of that table, not written a second time in SQL: rates, causes,
remedies and failures have one definition.
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


_PROGRESS = """\
WITH recorded AS (
    SELECT sweep_id, count(*) AS trials, max(finished_at) AS last_at,
           datetime(max(finished_at), '-5 minutes') AS since,
           count(*) FILTER (WHERE verdict = 'leaks') AS leaks,
           count(*) FILTER (WHERE verdict = 'holds') AS holds,
           count(*) FILTER (WHERE verdict = 'inert') AS inert,
           count(*) FILTER (WHERE verdict = 'failed') AS failed
    FROM trial GROUP BY sweep_id
),
recent AS (
    SELECT trial.sweep_id,
           (count(*) - 1) / nullif(
               (julianday(max(finished_at)) - julianday(min(finished_at))) * 1440, 0) AS a_minute
    FROM trial JOIN recorded USING (sweep_id)
    WHERE finished_at >= since
    GROUP BY trial.sweep_id
),
measured AS (
    SELECT sweep.id, name, planned, coalesce(trials, 0) AS trials, a_minute, last_at,
           max(planned - coalesce(trials, 0), 0) AS remaining,
           coalesce(failed, 0) AS failed, leaks, holds, inert,
           CAST(round((julianday('now') - julianday(last_at)) * 86400) AS INTEGER) AS quiet_s
    FROM sweep LEFT JOIN recorded ON recorded.sweep_id = sweep.id
               LEFT JOIN recent ON recent.sweep_id = sweep.id
)
SELECT name AS sweep,
       CASE WHEN remaining = 0 THEN 'complete'
            WHEN quiet_s < 60 THEN 'running'
            ELSE 'nothing new for a minute' END AS state,
       round(100.0 * min(trials, planned) / planned, 1) AS percent,
       planned, trials - failed AS done, failed, remaining, round(a_minute, 1) AS trials_a_minute,
       CASE WHEN quiet_s < 60 AND remaining > 0
            THEN round(remaining / nullif(a_minute, 0), 1) END AS minutes_left,
       leaks, holds, inert, quiet_s AS seconds_since_last,
       substr(last_at, 1, 19) AS last_finished_at
FROM measured ORDER BY id DESC"""

_SETTINGS = """\
SELECT sweep, optimizer, zero_grad, schedule, freeze, lr, weight_decay, momentum,
       leaks, trials, leak_rate, max_drift, diverged, workload, steps, options
FROM leak_rate_by_setting
WHERE leaks > 0 AND :optimizer IN ('', optimizer)
ORDER BY leak_rate DESC, max_drift DESC"""

_CAUSES_OF_ONE = """\
WITH chosen AS (
    SELECT *,
           optimizer || coalesce(' lr=' || lr, '') || coalesce(' weight_decay=' || weight_decay, '')
               || coalesce(' momentum=' || momentum, '') || ' zero_grad=' || zero_grad
               || ' schedule=' || schedule || ' freeze=' || freeze || ' seed=' || seed AS setting
    FROM trial
    WHERE id = coalesce(nullif(:trial_id, ''), (SELECT min(id) FROM trial WHERE verdict = 'leaks'))
),
source AS (
    SELECT 1 AS place, 'history' AS source, by_history AS moves_it,
           'the state that the optimizer keeps, such as momentum' AS what_it_is FROM chosen
    UNION ALL SELECT 2, 'decay', by_decay, 'weight decay' FROM chosen
    UNION ALL SELECT 3, 'gradient', by_gradient, 'the gradient as it stands, stale or fresh'
    FROM chosen
    UNION ALL SELECT 4, 'intrinsic', by_intrinsic, 'the optimizer itself, every source off'
    FROM chosen
    UNION ALL SELECT 5, 'despite None', despite_none, 'it moves although its grad is None'
    FROM chosen
)
SELECT source,
       CASE moves_it WHEN 1 THEN 'yes' WHEN 0 THEN 'no'
           ELSE coalesce('not known: ' || unexplained, 'not asked: ' || verdict) END AS is_a_cause,
       causes, what_it_is, id AS trial_id, verdict, first_leak_step, leaked_steps, frozen_steps,
       max_drift, setting
FROM chosen CROSS JOIN source ORDER BY place"""

_TRACE = """\
WITH chosen AS (
    SELECT coalesce(nullif(:trial_id, ''),
                    (SELECT min(trial_id) FROM step JOIN trial ON trial.id = step.trial_id
                     WHERE verdict = 'leaks'),
                    (SELECT min(trial_id) FROM step)) AS id
)
SELECT step, iif(frozen, 'frozen', 'attached') AS layer_is, grad,
       CASE WHEN frozen AND moved THEN 'leak' WHEN moved THEN 'moved' ELSE 'still' END AS layer_did,
       max_change, loss, trial_id
FROM step WHERE trial_id = (SELECT CAST(id AS INTEGER) FROM chosen)
ORDER BY step"""

QUERIES = (
    CannedQuery(
        "progress",
        "How far is the sweep?",
        "One sweep a row, the newest first. Reload the page while a sweep runs: done, percent "
        "and minutes_left follow it. The pace is that of the last five minutes of recording; "
        "times are UTC.",
        _PROGRESS,
    ),
    CannedQuery(
        "which_settings_leak",
        "Which settings leak?",
        "One setting a row, its seeds folded: those that leak most often and drift farthest "
        "first. Give an optimizer's name for that one alone.",
        _SETTINGS,
    ),
    CannedQuery(
        "what_moved_this_layer",
        "What moved this layer?",
        "One source a row, for one trial: whether it is in one of the smallest sets of sources "
        "that move the layer at the trial's first leak, which the column causes has, each alone "
        "or joined by + where only together. Give a trial_id; left empty, it is the first trial "
        "that leaks.",
        _CAUSES_OF_ONE,
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
