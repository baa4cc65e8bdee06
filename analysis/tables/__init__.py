"""The summary tables: pure functions of a frame of trials, and the list of them.

`TABLES` is the one place that names them. Export, command line, report and documentation
read it; a new table is a function and a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from analysis.folded import FOLDABLE, load_folded
from analysis.load import load_trials
from analysis.schema import SETTING
from analysis.tables import axis_shares as _importance
from analysis.tables import cause_counts as _causes
from analysis.tables import failed_trials as _failures
from analysis.tables import leak_rules as _rules
from analysis.tables import rates as _rates
from analysis.tables import remedy_pairs as _remedies


@dataclass(frozen=True, slots=True)
class Table:
    """One summary table.

    Attributes:
        name: its name, and that of its files.
        make: the table as a frame, from a frame of trials.
        needs: the columns of the trials that it reads.
        caption: what it shows, as one sentence.
        only: the one verdict whose trials it is about; None where it is about all.
    """

    name: str
    make: Callable[[pd.DataFrame], pd.DataFrame]
    needs: tuple[str, ...]
    caption: str
    only: str | None = None

    def read(self, url: str, sweep: str | None = None) -> pd.DataFrame:
        """The trials that it is made from, of one sweep or of all; raises as `load_trials` does.

        They are folded where that can be: a million of them then take about a second.
        """
        if FOLDABLE.issuperset(self.needs):
            return load_folded(url, sweep, columns=self.needs)
        return load_trials(url, sweep, columns=self.needs, verdict=self.only)


def _rate_table(make: Callable[[pd.DataFrame], pd.DataFrame], caption: str, *keys: str) -> Table:
    return Table(make.__name__, make, ("sweep", *keys, *_rates.MEASURES), caption)


_ALL = (
    _rate_table(_rates.by_optimizer, "Leak rate by optimizer.", "optimizer"),
    _rate_table(_rates.by_zero_grad, "Leak rate by how gradients are cleared.", "zero_grad"),
    _rate_table(
        _rates.by_weight_decay,
        "Leak rate by weight decay; empty where the optimizer has none.",
        "weight_decay",
    ),
    _rate_table(
        _rates.by_momentum,
        "Leak rate by first-moment coefficient; empty where the optimizer has none.",
        "momentum",
    ),
    _rate_table(_rates.by_schedule, "Leak rate by when the layer is frozen.", "schedule"),
    _rate_table(_rates.by_freeze, "Leak rate by the way of freezing.", "freeze"),
    _rate_table(_rates.by_setting, "Leak rate by setting, seeds folded.", *SETTING),
    _rate_table(
        _rates.optimizer_by_zero_grad,
        "Leak rate of each optimizer by how gradients are cleared, with the counts.",
        "optimizer",
        "zero_grad",
    ),
    Table(
        "causes",
        _causes.causes,
        _causes.NEEDS,
        "What moved the layer in leaking trials, by setting, seeds folded.",
    ),
    Table(
        "remedies",
        _remedies.remedies,
        _remedies.NEEDS,
        "Leaks that a change of one axis stops and leaves, in pairs that differ in it alone.",
    ),
    Table(
        "rules",
        _rules.rules,
        _rules.NEEDS,
        "The smallest rule over the axes that decides which trials of an optimizer leak.",
    ),
    Table(
        "importance",
        _importance.importance,
        _importance.NEEDS,
        "How much each axis matters for whether the layer leaks and for the worst drift.",
    ),
    Table(
        "failures",
        _failures.failures,
        _failures.NEEDS,
        "Failed trials by optimizer and error, with an example of each.",
        only="failed",
    ),
)

TABLES: Mapping[str, Table] = MappingProxyType({table.name: table for table in _ALL})
"""Every summary table by name, in the order of the documentation."""
