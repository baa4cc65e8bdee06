"""The summary tables: pure functions of a frame of trials, and the list of them.

`SUMMARIES` is the one place that names them, and `summary_table` makes one from a database.
Export, command line, report, pages and Python read these two; a new table is a function and
a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from analysis.exceptions import UnknownChoiceError
from analysis.folded import Readings
from analysis.schema import SETTING_AXES, SETTING_KEYS, SweepKind
from analysis.sweeps import load_sweeps
from analysis.tables import rates
from analysis.tables.axis_shares import importance
from analysis.tables.cause_counts import CAUSED, causes
from analysis.tables.cost_pairs import COSTED, cost
from analysis.tables.did_it_move import results
from analysis.tables.failed_trials import failures
from analysis.tables.leak_rules import rules
from analysis.tables.remedy_pairs import remedies
from analysis.tables.watched_parameters import WATCHED, watched

_SETTINGS = frozenset({SweepKind.GRID, SweepKind.SEARCH})
"""The kinds of sweep whose trials are settings; a watch's are parameters of one setting."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One summary table.

    Attributes:
        name: its name, and that of its files.
        make: the table as a frame, from a frame of trials.
        needs: the columns of the trials that it reads.
        caption: what it shows, as one sentence.
        only: the one verdict whose trials it is about; None where it is about all.
        scored: whether it is about the trials that have a score alone.
        kinds: the kinds of sweep that it says something of.
    """

    name: str
    make: Callable[[pd.DataFrame], pd.DataFrame]
    needs: tuple[str, ...]
    caption: str
    only: str | None = None
    kinds: frozenset[SweepKind] = _SETTINGS
    scored: bool = False

    def table(self, database: str, sweep: str | None = None) -> pd.DataFrame:
        """The table, of one sweep or of all; raises as `analysis.load.load_trials` does."""
        return self.make(Readings(database, sweep, []).of(self))


def summary_table(name: str, database: str, sweep: str | None = None) -> pd.DataFrame:
    """The summary table ``name`` of one sweep, or of all in the database.

    ``database`` is a file's path or a URL. A sweep of which the table says nothing, as a watch
    is no grid, has no rows in it; the ``results`` of a watch have a row a parameter. Raises
    UnknownChoiceError for a name that no table has, and what `analysis.load.load_trials` raises.
    """
    return summary_of(name, database, sweep).table(database, sweep)


def summary_of(name: str, database: str, sweep: str | None = None) -> Summary:
    """What `summary_table` makes for these, with its caption; raises as it does."""
    if name not in SUMMARIES:
        raise UnknownChoiceError("table", name, tuple(SUMMARIES))
    kinds = [each.kind for each in load_sweeps(database) if each.name == sweep]
    is_watch = kinds == [SweepKind.WATCH] and name == WATCHED_TABLE.name
    return WATCHED_TABLE if is_watch else SUMMARIES[name]


_POOLED = "over the trials that leak or hold; the column pools names what else differs among them"
_RATED = ("sweep", "sweep_kind", *SETTING_AXES, *rates.MEASURED)
_ALL = (
    Summary(
        "results",
        results,
        ("sweep", "sweep_kind", *SETTING_AXES, "verdict"),
        "Did the frozen layer move? What every trial of a row did, by how gradients are cleared.",
    ),
    Summary("by_optimizer", rates.by_optimizer, _RATED, f"Leak rate by optimizer, {_POOLED}."),
    Summary(
        "by_zero_grad",
        rates.by_zero_grad,
        _RATED,
        f"Leak rate by how gradients are cleared, {_POOLED}.",
    ),
    Summary(
        "by_weight_decay",
        rates.by_weight_decay,
        _RATED,
        f"Leak rate by weight decay, empty where the optimizer has none, {_POOLED}.",
    ),
    Summary(
        "by_momentum",
        rates.by_momentum,
        _RATED,
        f"Leak rate by first-moment coefficient, empty where the optimizer has none, {_POOLED}.",
    ),
    Summary(
        "by_schedule",
        rates.by_schedule,
        _RATED,
        f"Leak rate by when the layer is frozen, {_POOLED}.",
    ),
    Summary("by_freeze", rates.by_freeze, _RATED, f"Leak rate by the way of freezing, {_POOLED}."),
    Summary(
        "by_setting",
        rates.by_setting,
        ("sweep", *SETTING_KEYS, *rates.MEASURED, "drift_ratio"),
        "Leak rate by setting, seeds folded.",
    ),
    Summary(
        "optimizer_by_zero_grad",
        rates.optimizer_by_zero_grad,
        _RATED,
        f"Leak rate of each optimizer by how gradients are cleared, {_POOLED}.",
    ),
    Summary(
        "causes",
        causes,
        ("sweep", "optimizer", "zero_grad", "verdict", *CAUSED, "sideways"),
        "What moved the layer at the first leak: leaks by the smallest sets of sources that move "
        "it, a source alone or several together.",
    ),
    Summary(
        "remedies",
        remedies,
        ("sweep", *SETTING_KEYS, "seed", "verdict", *CAUSED),
        "Leaks that a change of one axis stops and leaves, in pairs of trials that differ in it "
        "alone; each remedy is tried on leaks of a layer frozen as the column frozen_by says.",
    ),
    Summary(
        "rules",
        rules,
        ("sweep", "sweep_kind", *SETTING_AXES, "verdict"),
        "The smallest rule over the axes that decides which trials of an optimizer leak.",
    ),
    Summary(
        "importance",
        importance,
        ("sweep", "sweep_kind", *SETTING_AXES, "verdict", "drift_ratio"),
        "How much each axis matters for whether the layer leaks and for the worst drift.",
    ),
    Summary(
        "cost",
        cost,
        COSTED,
        "What a leak costs: leaking settings beside their twins that hold, by seed. A change of "
        "score below 0 is a cost; intervals are 95%, and the finding is corrected for as many "
        "comparisons as the column of that name says.",
        scored=True,
    ),
    Summary(
        "failures",
        failures,
        ("sweep", "id", *SETTING_AXES, "seed", "verdict", "error"),
        "Failed trials by optimizer and error, with an example of each.",
        only="failed",
        kinds=frozenset(SweepKind),
    ),
)

WATCHED_TABLE = Summary(
    "results",
    watched,
    WATCHED,
    "Did what was to keep still move? What a gradient reached on every step has no row.",
    kinds=frozenset({SweepKind.WATCH}),
)
"""The results of a watch, which has no others."""

SUMMARIES: Mapping[str, Summary] = MappingProxyType({summary.name: summary for summary in _ALL})
"""Every summary table by name, in the order of the documentation."""
