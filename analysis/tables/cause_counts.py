"""What moved the layer: leaks by the smallest sets of sources that move it."""

from __future__ import annotations

import pandas as pd

from analysis.schema import CAUSE_COLUMNS, as_words, counts

NOT_KNOWN = "not known"
CAUSED = ("causes", *CAUSE_COLUMNS)
"""The columns that `cause_sets` reads."""
_FLAG_WORDS = tuple((w, f"by_{w}") for w in ("intrinsic", "decay", "gradient", "history"))
"""Sources as ``causes`` has them, in its order, with their flags."""


def cause_sets(trials: pd.DataFrame) -> pd.Series:
    """Each trial's ``causes``, `NOT_KNOWN` where they were not found.

    Of a trial that was recorded before there was that column, the sources that move the layer
    alone, which is what its flags then said.
    """
    flags = [trials[flag].fillna(False).astype(bool) for _, flag in _FLAG_WORDS]
    known = {
        row: ", ".join(word for (word, _), found in zip(_FLAG_WORDS, row, strict=True) if found)
        for row in set(zip(*flags, strict=True))
    }
    alone = [known[row] or NOT_KNOWN for row in zip(*flags, strict=True)]
    return trials["causes"].astype(object).where(trials["causes"].notna(), alone)


def causes(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each sweep, optimizer, ``zero_grad`` and set of causes that leaking trials have.

    Columns: ``sweep``, ``optimizer``, ``zero_grad``, ``causes`` (the smallest sets of sources
    that move the layer, as `analysis.schema` has the column; null for trials that do not
    leak), ``trials`` (all that did not fail), and of those ``leaks``, ``despite_none`` (they
    move it although its grad is None) and ``sideways`` (its grad changes how the others move).
    Trials that neither leak nor are sideways have no row.
    """
    finished = frame[frame["verdict"] != "failed"]
    keys = ["sweep", "optimizer", "zero_grad", "causes"]
    trials, leaks = counts(finished), finished["verdict"] == "leaks"
    marked = finished[keys].assign(
        causes=cause_sets(finished).where(leaks),
        trials=trials,
        leaks=trials.where(leaks, 0),
        **{
            name: trials.where(finished[name].fillna(False).astype(bool), 0)
            for name in ("despite_none", "sideways")
        },
    )
    numbers = ["trials", "leaks", "despite_none", "sideways"]
    groups = marked.groupby(keys, observed=True, dropna=False)[numbers]
    rows = groups.sum().astype("int64").reset_index()
    told = rows[(rows["leaks"] > 0) | (rows["sideways"] > 0)].reset_index(drop=True)
    return as_words(told.astype({"causes": "string"}))
