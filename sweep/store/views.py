"""The views for people who open the database with nothing but SQL.

Each is one SELECT that SQLite and PostgreSQL both take. Several sweeps are never mixed in
one rate. Views hold no data, so they belong to no revision: every migration ends by making
them anew from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from sweep.values.words import Axis

_OF_SETTING = ("workload", "steps", *(axis.value for axis in Axis), "options")
"""The columns of `trial` that say which setting it ran."""

_FOLDED = tuple(name for name in _OF_SETTING if name != "seed")

_RATES = """\
       count(*) FILTER (WHERE verdict IN ('leaks', 'holds')) AS trials,
       count(*) FILTER (WHERE verdict = 'leaks') AS leaks,
       count(*) FILTER (WHERE verdict = 'holds') AS holds,
       count(*) FILTER (WHERE verdict = 'inert') AS inert,
       count(*) FILTER (WHERE verdict = 'failed') AS failed,
       count(*) FILTER (WHERE diverged) AS diverged,
       CAST(count(*) FILTER (WHERE verdict = 'leaks') AS DOUBLE PRECISION)
           / nullif(count(*) FILTER (WHERE verdict IN ('leaks', 'holds')), 0) AS leak_rate,
       max(max_drift) FILTER (WHERE verdict = 'leaks') AS max_drift"""

_SETTINGS = "leak_rate_by_setting"
_SUMS = ("trials", "leaks", "holds", "inert", "failed", "diverged")
_COUNTS = (*_SUMS, "leak_rate", "max_drift")

# Rows from before the column `causes` have flags alone, of sources that move the layer alone.
_CAUSES = """\
       coalesce(trial.causes, CASE WHEN by_history IS NOT NULL THEN
           substr(CASE WHEN by_intrinsic THEN ', intrinsic' ELSE '' END
               || CASE WHEN by_decay THEN ', decay' ELSE '' END
               || CASE WHEN by_gradient THEN ', gradient' ELSE '' END
               || CASE WHEN by_history THEN ', history' ELSE '' END, 3) END) AS causes"""

_DRIFT = (
    *("first_leak_step", "leaked_steps", "frozen_steps"),
    *("max_drift", "total_drift", "drift_ratio"),
)
_ASIDE = ("unexplained", "despite_none", "sideways")

COMPUTED = {
    "sweep": ("TEXT", "The sweep's name."),
    "trial_id": ("INTEGER", "The trial's id."),
    "settings": ("INTEGER", "Settings that the row adds up."),
    "trials": ("INTEGER", "Trials that leak or hold: what the rate is over."),
    "leaks": ("INTEGER", "Trials that leak."),
    "holds": ("INTEGER", "Trials that hold."),
    "inert": ("INTEGER", "Trials that prove nothing, as the layer never moved at all."),
    "failed": ("INTEGER", "Trials that raised."),
    "diverged": ("INTEGER", "Trials in which a loss or a parameter became non-finite."),
    "leak_rate": ("DOUBLE", "leaks / trials; null if trials is 0."),
    "causes": ("TEXT", "What moved the layer at the first leak, such as 'decay, history'."),
}
"""Type and meaning of the columns that views compute; any other is a column of `trial`."""


@dataclass(frozen=True, slots=True)
class View:
    """A view: its name, what a row of it is, its columns in order, and its SELECT."""

    name: str
    meaning: str
    columns: tuple[str, ...]
    select: str


def _by_setting() -> View:
    """The view of leak rates with one row a setting, its seeds folded: what others add up."""
    # Qualified, as PostgreSQL takes a bare "freeze" for a word of its own.
    inner, outer = (", ".join(f"{name}.{key}" for key in _FOLDED) for name in ("trial", "counted"))
    # By the sweep's id, and joined afterwards: SQLite then counts along ix_trial_setting.
    select = (
        f"SELECT sweep.name AS sweep, {outer}, {', '.join(_COUNTS)}\n"  # noqa: S608 constants
        f"FROM (SELECT sweep_id, {inner},\n{_RATES}\n"
        f"      FROM trial GROUP BY sweep_id, {inner}) AS counted\n"
        f"JOIN sweep ON sweep.id = counted.sweep_id"
    )
    meaning = "Leak rate of one setting, over its seeds."
    return View(_SETTINGS, meaning, ("sweep", *_FOLDED, *_COUNTS), select)


def _rates_by(name: str, key: str, meaning: str) -> View:
    """The view of leak rates over all settings with the same ``key``."""
    sums = ",\n       ".join(f"CAST(sum({name}) AS BIGINT) AS {name}" for name in _SUMS)
    select = (
        f"SELECT sweep, {key}, count(*) AS settings,\n       {sums},\n"
        f"       CAST(sum(leaks) AS DOUBLE PRECISION) / nullif(sum(trials), 0) AS leak_rate,\n"
        f"       max(max_drift) AS max_drift\nFROM {_SETTINGS} GROUP BY sweep, {key}"
    )
    return View(name, meaning, ("sweep", key, "settings", *_COUNTS), select)


def _leak() -> View:
    """The view of leaking trials."""
    columns = ", ".join(f"trial.{name}" for name in (*_OF_SETTING, *_DRIFT))
    select = (
        f"SELECT trial.id AS trial_id, sweep.name AS sweep, {columns},\n"
        f"{_CAUSES},\n       {', '.join(_ASIDE)}\n"
        f"FROM trial JOIN sweep ON sweep.id = trial.sweep_id\n"
        f"WHERE verdict = 'leaks'"
    )
    return View(
        "leak",
        "One leaking trial, with what moved its layer.",
        ("trial_id", "sweep", *_OF_SETTING, *_DRIFT, "causes", *_ASIDE),
        select,
    )


VIEWS = (
    _by_setting(),
    _rates_by(
        "leak_rate_by_optimizer",
        "optimizer",
        "Leak rate of one optimizer, over all of the sweep's settings, whatever varies in them.",
    ),
    _rates_by(
        "leak_rate_by_zero_grad",
        "zero_grad",
        "Leak rate of one way to clear grads, over all of the sweep's settings likewise.",
    ),
    _leak(),
)


def create_statements() -> list[str]:
    """The statements that make every view, in order."""
    return [f"CREATE VIEW {view.name} AS\n{view.select}" for view in VIEWS]


def drop_statements() -> list[str]:
    """The statements that remove every view that is there."""
    return [f"DROP VIEW IF EXISTS {view.name}" for view in reversed(VIEWS)]
