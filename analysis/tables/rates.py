"""Leak rates, with the counts they are over, by each axis and by setting.

A rate is leaks over ``trials``, and ``trials`` are those that leak or hold. Inert trials
prove nothing and failed ones showed nothing: they are counted beside, never as holding.
A null axis value means that the axis does not apply, and has a row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.schema import SETTING, ZERO_GRAD, counts

MEASURES = ("verdict", "diverged", "max_drift", "drift_ratio")
"""The columns that every table of rates is made from, beside its keys."""


def by_optimizer(frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates by optimizer, of each sweep: see `rates` for the columns."""
    return rates(frame, ["optimizer"])


def by_zero_grad(frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates by how gradients are cleared, of each sweep."""
    return rates(frame, ["zero_grad"])


def by_weight_decay(frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates by weight decay, of each sweep; null where the optimizer has none."""
    return rates(frame, ["weight_decay"])


def by_momentum(frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates by first-moment coefficient, of each sweep; null where there is none."""
    return rates(frame, ["momentum"])


def by_schedule(frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates by when the layer is frozen, of each sweep."""
    return rates(frame, ["schedule"])


def by_freeze(frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates by the way of freezing, of each sweep."""
    return rates(frame, ["freeze"])


def by_setting(frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates by everything that decides a trial but its seed: seeds are folded."""
    return rates(frame, SETTING)


def rates(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """One row for each sweep and combination of ``keys`` that occurs, in their order.

    Columns: ``sweep``, the keys, ``trials`` (leaks + holds), ``leaks``, ``leak_rate``
    (leaks / trials, null where there are none), ``holds``, ``inert``, ``failed``,
    ``diverged`` (of any verdict), and over the leaking trials ``median_drift_ratio`` and
    ``max_drift``.
    """
    keys = ["sweep", *keys]
    groups = _marked(frame, keys).groupby(keys, observed=True, dropna=False)
    rows = groups[["trials", "leaks", "holds", "inert", "failed", "diverged"]].sum()
    rows.insert(2, "leak_rate", rows["leaks"] / rows["trials"].where(rows["trials"] > 0))
    rows["median_drift_ratio"] = groups["drift_ratio"].median()
    rows["max_drift"] = groups["max_drift"].max()
    return as_words(rows.reset_index())


def optimizer_by_zero_grad(frame: pd.DataFrame) -> pd.DataFrame:
    """Leak rates with a row for each sweep and optimizer and a column for each ``zero_grad``.

    Columns: ``sweep``, ``optimizer``; the rates ``none``, ``zero``, ``never``, null where
    no trial leaks or holds; then the counts they are over, ``trials_none`` and so on, and
    ``leaks_none`` and so on.
    """
    cells = rates(frame, ["optimizer", "zero_grad"])
    rows = cells[["sweep", "optimizer"]].drop_duplicates(ignore_index=True)
    for word in ZERO_GRAD:
        new_names = {name: f"{name}_{word}" for name in ("leak_rate", "trials", "leaks")}
        cell = cells.loc[cells["zero_grad"] == word, ["sweep", "optimizer", *new_names]]
        rows = rows.merge(cell.rename(columns=new_names), how="left", on=["sweep", "optimizer"])
    numbers = [f"{name}_{word}" for name in ("trials", "leaks") for word in ZERO_GRAD]
    rows[numbers] = rows[numbers].fillna(0).astype("int64")
    rows = rows.rename(columns={f"leak_rate_{word}": word for word in ZERO_GRAD})
    return rows[["sweep", "optimizer", *ZERO_GRAD, *numbers]]


def as_words(rows: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with its categories as text, which a finished table is read and joined by."""
    words = [name for name in rows.columns if isinstance(rows[name].dtype, pd.CategoricalDtype)]
    return rows.astype(dict.fromkeys(words, "string"))


def _marked(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The keys with the trials of each verdict, and the drifts of leaking trials alone."""
    verdict, trials = frame["verdict"], counts(frame)
    marks = {word: trials.where(verdict == word, 0) for word in ("leaks", "holds")}
    leaks = verdict == "leaks"
    return frame[keys].assign(
        trials=marks["leaks"] + marks["holds"],
        **marks,
        inert=trials.where(verdict == "inert", 0),
        failed=trials.where(verdict == "failed", 0),
        diverged=trials.where(frame["diverged"].fillna(False).astype(bool), 0),
        drift_ratio=frame["drift_ratio"].where(leaks),
        max_drift=frame["max_drift"].where(leaks),
    )
