"""What moved the layer, by setting."""

from __future__ import annotations

import pandas as pd

from analysis.schema import CAUSES, SETTING
from analysis.tables.rates import as_words

NEEDS = ("sweep", *SETTING, "verdict", *CAUSES, "sideways")


def causes(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each sweep and setting with a leaking or a sideways trial, seeds folded.

    Columns: ``sweep``, the setting; ``leaks``, and of those how many each cause moves
    alone (a leak may have several), ``unattributed`` those with none; ``finished`` (trials
    that did not fail) and of those ``sideways``.
    """
    keys = ["sweep", *SETTING]
    leaks = frame["verdict"] == "leaks"
    found = {cause: leaks & frame[cause].fillna(False).astype(bool) for cause in CAUSES}
    marked = frame[keys].assign(
        leaks=leaks,
        **found,
        unattributed=leaks & ~pd.DataFrame(found).any(axis="columns"),
        finished=frame["verdict"] != "failed",
        sideways=frame["sideways"].fillna(False).astype(bool),
    )
    counted = ["leaks", *CAUSES, "unattributed", "finished", "sideways"]
    counts = marked.groupby(keys, observed=True, dropna=False)[counted].sum().astype("int64")
    told = counts[(counts["leaks"] > 0) | (counts["sideways"] > 0)]
    return as_words(told.reset_index())
