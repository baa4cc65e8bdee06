"""The summary tables: pure functions of a frame of trials, and the list of them.

`SUMMARIES` is the one place that names them, and `summary_table` makes one from a database.
Export, command line, report, pages and Python read these two; a new table is a function and
a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pandas as pd

from analysis.exceptions import UnknownChoiceError
from analysis.folded import Readings, Reads
from analysis.load import load_sweeps
from analysis.schema import SETTING_AXES, SETTING_KEYS, SweepKind
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
class Summary(Reads):
    """One summary table.

    Attributes:
        name: its name, and that of its files.
        make: the table as a frame, from a frame of trials.
        caption: what it shows, as one sentence.
    """

    name: str
    make: Callable[[pd.DataFrame], pd.DataFrame]
    caption: str
    kinds: frozenset[SweepKind] = field(default=_SETTINGS, kw_only=True)

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


_DECIDED = ("sweep", "sweep_kind", *SETTING_AXES, "verdict")


def _rated(name: str, by: str) -> Summary:
    return Summary(
        name,
        getattr(rates, name),
        f"Leak rate {by}, over the trials that leak or hold; the column pools names what else "
        f"differs among them.",
        needs=("sweep", "sweep_kind", *SETTING_AXES, *rates.MEASURED),
    )


_ALL = (
    Summary(
        "results",
        results,
        "Did the frozen layer move? What every trial of a row did, by how gradients are cleared.",
        needs=_DECIDED,
    ),
    _rated("by_optimizer", "by optimizer"),
    _rated("by_zero_grad", "by how gradients are cleared"),
    _rated("by_weight_decay", "by weight decay, empty where the optimizer has none"),
    _rated("by_momentum", "by first-moment coefficient, empty where the optimizer has none"),
    _rated("by_schedule", "by when the layer is frozen"),
    _rated("by_freeze", "by the way of freezing"),
    Summary(
        "by_setting",
        rates.by_setting,
        "Leak rate by setting, seeds folded.",
        needs=("sweep", *SETTING_KEYS, *rates.MEASURED, "drift_ratio"),
    ),
    _rated("optimizer_by_zero_grad", "of each optimizer by how gradients are cleared"),
    Summary(
        "causes",
        causes,
        "What moved the layer at the first leak: leaks by the smallest sets of sources that move "
        "it, a source alone or several together.",
        needs=("sweep", "optimizer", "zero_grad", "verdict", *CAUSED, "sideways"),
    ),
    Summary(
        "remedies",
        remedies,
        "Leaks that a change of one axis stops and leaves, in pairs of trials that differ in it "
        "alone; each remedy is tried on leaks of a layer frozen as the column frozen_by says.",
        needs=("sweep", *SETTING_KEYS, "seed", "verdict", *CAUSED),
    ),
    Summary(
        "rules",
        rules,
        "The smallest rule over the axes that decides which trials of an optimizer leak.",
        needs=_DECIDED,
    ),
    Summary(
        "importance",
        importance,
        "How much each axis matters for whether the layer leaks and for the worst drift.",
        needs=(*_DECIDED, "drift_ratio"),
    ),
    Summary(
        "cost",
        cost,
        "What a leak costs: leaking settings beside their twins that hold, by seed. A change of "
        "score below 0 is a cost; intervals are 95%, and the finding is corrected for as many "
        "comparisons as the column of that name says.",
        needs=COSTED,
        only="scored",
    ),
    Summary(
        "failures",
        failures,
        "Failed trials by optimizer and error, with an example of each.",
        needs=("sweep", "id", *SETTING_AXES, "seed", "verdict", "error"),
        only="failed",
        kinds=frozenset(SweepKind),
    ),
)

WATCHED_TABLE = Summary(
    "results",
    watched,
    "Did what was to keep still move? What a gradient reached on every step has no row.",
    needs=WATCHED,
    kinds=frozenset({SweepKind.WATCH}),
)
"""The results of a watch, which has no others."""

SUMMARIES: Mapping[str, Summary] = MappingProxyType({summary.name: summary for summary in _ALL})
"""Every summary table by name, in the order of the documentation."""
