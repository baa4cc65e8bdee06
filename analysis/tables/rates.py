"""Leak rates, with the counts they are over, by each axis and by setting.

A rate is leaks over ``trials``, and ``trials`` are those that leak or hold. Inert trials
prove nothing and failed ones showed nothing: they are counted beside, never as holding.
A null axis value means that the axis does not apply, and has a row of its own. What else
differs among the trials of a row is named in ``pools``: a rate over an axis that decides
says how often that axis had which value, not how likely a leak is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from analysis.schema import (
    CLEARINGS,
    MOST_VALUES,
    NUMERIC_AXES,
    SETTING_AXES,
    SETTING_KEYS,
    as_words,
    counts,
    searched,
    tallied,
)

MEASURED = ("verdict", "diverged", "max_drift")
"""The columns that every table of rates is made from, beside its keys."""


def rates_by(axis: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates by one axis, of each sweep: see `rates` for the columns.

    Of a number that was searched, a row is one of at most 16 parts of its values, with about
    as many settings each: the axis has the part's lowest value and ``to`` its highest. In a
    grid ``to`` is null.
    """
    if axis not in NUMERIC_AXES:
        return rates(frame, [axis])
    parts, highest = _parts(frame, axis)
    found = rates(frame.assign(**{axis: parts, "to": highest}), [axis, "to"])
    return found.astype({"to": "float64"})


by_optimizer = partial(rates_by, "optimizer")
by_zero_grad = partial(rates_by, "zero_grad")
by_weight_decay = partial(rates_by, "weight_decay")
by_momentum = partial(rates_by, "momentum")
by_schedule = partial(rates_by, "schedule")
by_freeze = partial(rates_by, "freeze")


def by_setting(frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates by everything that decides a trial but its seed: seeds are folded.

    Columns: as `rates` without ``pools``, then ``median_drift_ratio`` over the leaking trials.
    """
    keys = ["sweep", *SETTING_KEYS]
    rows = rates(frame, SETTING_KEYS).drop(columns="pools")
    leaks = frame[frame["verdict"] == "leaks"]
    medians = leaks.groupby(keys, observed=True, dropna=False)["drift_ratio"].median()
    told = as_words(medians.rename("median_drift_ratio").reset_index())
    return rows.merge(told, how="left", on=keys)


def rates(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """One row for each sweep and combination of ``keys`` that occurs, in their order.

    Columns: ``sweep``, the keys, ``trials`` (leaks + holds), ``leaks``, ``leak_rate``
    (leaks / trials, null where there are none), ``holds``, ``inert``, ``failed``,
    ``diverged`` (of any verdict), ``max_drift`` (the largest of a leaking trial), ``pools``
    (the axes that have several values in the row; null for none).
    """
    keys = ["sweep", *keys]
    found = tallied(frame, keys)
    trials = found["leaks"] + found["holds"]
    marked = frame[keys].assign(
        diverged=counts(frame).where(frame["diverged"].fillna(False).astype(bool), 0),
        max_drift=frame["max_drift"].where(frame["verdict"] == "leaks"),
    )
    groups = marked.groupby(keys, observed=True, dropna=False)
    rows = pd.DataFrame(
        {
            "trials": trials,
            "leaks": found["leaks"],
            "leak_rate": found["leaks"] / trials.where(trials > 0),
            **{name: found[name] for name in ("holds", "inert", "failed")},
            "diverged": groups["diverged"].sum(),
            "max_drift": groups["max_drift"].max(),
            "pools": _pools(frame, keys, shown=keys),
        }
    )
    return as_words(rows.reset_index())


def optimizer_by_zero_grad(frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates with a row for each sweep and optimizer and a column for each ``zero_grad``.

    Columns: ``sweep``, ``optimizer``; the rates ``none``, ``zero``, ``never``, null where
    no trial leaks or holds; then the counts they are over, ``trials_none`` and so on, and
    ``leaks_none`` and so on; then ``pools``, as `rates` has it.
    """
    cells = rates(frame, ["optimizer", "zero_grad"])
    keys = ["sweep", "optimizer"]
    rows = as_words(_pools(frame, keys, shown=[*keys, "zero_grad"]).reset_index())
    for word in CLEARINGS:
        new_names = {name: f"{name}_{word}" for name in ("leak_rate", "trials", "leaks")}
        cell = cells.loc[cells["zero_grad"] == word, [*keys, *new_names]]
        rows = rows.merge(cell.rename(columns=new_names), how="left", on=keys)
    numbers = [f"{name}_{word}" for name in ("trials", "leaks") for word in CLEARINGS]
    rows[numbers] = rows[numbers].fillna(0).astype("int64")
    rows = rows.rename(columns={f"leak_rate_{word}": word for word in CLEARINGS})
    return rows[[*keys, *CLEARINGS, *numbers, "pools"]]


def _pools(frame: pd.DataFrame, keys: list[str], shown: list[str]) -> pd.Series:
    """For each combination of ``keys``, the axes that have several values and are not shown."""
    axes = [axis for axis in SETTING_AXES if axis in frame and axis not in shown]
    groups = frame.groupby(keys, observed=True, dropna=False)
    several = pd.DataFrame(
        {axis: groups[axis].nunique(dropna=False) > 1 for axis in axes},
        index=groups.size().index,
    )
    named = [", ".join(several.columns[row]) or None for row in several.to_numpy(bool)]
    return pd.Series(named, several.index, dtype="string", name="pools")


def _parts(frame: pd.DataFrame, axis: str) -> tuple[pd.Series, pd.Series]:
    """The lowest and the highest value of each row's part; of a grid, the value and null."""
    lowest, highest = frame[axis].copy(), pd.Series(np.nan, frame.index)
    for _, group in frame[searched(frame)].groupby("sweep", observed=True):
        values = np.sort(group[axis].dropna().unique())
        if len(values) <= MOST_VALUES:
            continue
        firsts = values[np.arange(MOST_VALUES) * len(values) // MOST_VALUES]
        lasts = values[(np.arange(1, MOST_VALUES + 1) * len(values) // MOST_VALUES) - 1]
        known = group[axis].dropna()
        place = np.searchsorted(firsts, known, side="right") - 1
        lowest[known.index], highest[known.index] = firsts[place], lasts[place]
    return lowest, highest
