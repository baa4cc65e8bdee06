"""What moved the layer, by setting."""

from __future__ import annotations

import pandas as pd

from analysis.schema import CAUSE_FLAGS, SETTING_KEYS, as_words, counts

UNKNOWN = "not known"


def cause_sets(trials: pd.DataFrame) -> pd.Series:
    """Each trial's causes as one word, `UNKNOWN` where they were not found."""
    flags = trials[list(CAUSE_FLAGS)].fillna(False).astype(bool)
    texts = {
        row: "+".join(name for name, found in zip(CAUSE_FLAGS, row, strict=True) if found)
        for row in set(flags.itertuples(index=False, name=None))
    }
    named = [texts[row] or UNKNOWN for row in flags.itertuples(index=False, name=None)]
    return pd.Series(named, trials.index, dtype=object)


def causes(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each sweep and setting with a leaking or a sideways trial, seeds folded.

    Columns: ``sweep``, the setting; ``leaks``, and of those how many each cause moves
    alone (a leak may have several), ``unattributed`` those with none; ``finished`` (trials
    that did not fail) and of those ``sideways``.
    """
    keys = ["sweep", *SETTING_KEYS]
    trials = counts(frame)
    leaks = frame["verdict"] == "leaks"
    found = {cause: leaks & frame[cause].fillna(False).astype(bool) for cause in CAUSE_FLAGS}
    marks = {
        "leaks": leaks,
        **found,
        "unattributed": leaks & ~pd.DataFrame(found).any(axis="columns"),
        "finished": frame["verdict"] != "failed",
        "sideways": frame["sideways"].fillna(False).astype(bool),
    }
    marked = frame[keys].assign(**{name: trials.where(mark, 0) for name, mark in marks.items()})
    summed = marked.groupby(keys, observed=True, dropna=False)[list(marks)].sum().astype("int64")
    told = summed[(summed["leaks"] > 0) | (summed["sideways"] > 0)]
    return as_words(told.reset_index())
