"""Trials out of a database with those that are alike as one row. Reads only.

What a summary table tells apart takes few values, and a million trials then come to some
thousand rows: the database counts them, along an index in which the trials of a setting lie
side by side. What differs from trial to trial comes beside: seeds as one text a row, which
takes a third of the time of a row a trial, and drifts of leaking trials in the same order, as
a text would cost them their last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Select, Text, cast, func, select

from analysis.connection import connected
from analysis.load import TRIALS, read_rows
from analysis.schema import CAUSES, COUNT, LISTED, SETTING

SHARED = (*SETTING, "verdict", "diverged", "causes", *CAUSES, "sideways")
"""Columns that many trials have in common, in the order of the index."""
OF_LEAKS = ("max_drift", "drift_ratio", "total_drift", "attached_motion")
"""Columns that are given for leaking trials alone, each of which then has a row of its own."""
OF_EACH = ("seed",)
"""Columns for which every trial has a row of its own."""
FOLDABLE = frozenset({"sweep", *SHARED, *OF_LEAKS, *OF_EACH})
"""Every column that `load_folded` can give."""


def load_folded(url: str, sweep: str | None = None, *, columns: Sequence[str]) -> pd.DataFrame:
    """The trials of one sweep or of all, those that agree in ``columns`` as one row.

    Args:
        url: any SQLAlchemy URL; SQLite files are opened read-only.
        sweep: a sweep's name; None for all of them.
        columns: names of `FOLDABLE`.

    Returns:
        The columns, of the types that `analysis.load.load_trials` gives, and ``count``: how many
        trials a row stands for. With a column of `OF_LEAKS`, each leaking trial has a row of
        its own, and in the other rows the column is null. With one of `OF_EACH`, each trial
        has, in the order of their ids. Otherwise there may be several rows that are equal in
        all but ``count``, in any order.

    Raises:
        SweepMissingError, DatabaseMissingError, UnreadableDatabaseError, MissingLibraryError:
            as `analysis.load.load_trials` does.
    """
    shared = [name for name in columns if name in SHARED]
    through = SHARED[: max(map(SHARED.index, [*shared, "verdict"])) + 1]
    drifts = [name for name in columns if name in OF_LEAKS]
    each = [name for name in columns if name in OF_EACH]
    each = ["id", *each] if each else []
    names = ["sweep", *dict.fromkeys([*shared, "verdict"])]
    with connected(url) as connection:
        lists = [LISTED[name] for name in each]
        query = _folding(names, through, each)
        rows = read_rows(connection, query, [*names, COUNT, *lists], sweep)
        rows[COUNT] = rows[COUNT].astype("int64")
        if each:
            rows = _trial_by_trial(rows, each)
        if drifts:
            own = ["id", *drifts] if each else drifts
            values = read_rows(connection, _of_leaks(own, through), own, sweep)
            rows = rows.join(values.set_index("id"), on="id") if each else _apart(rows, values)
    return rows[[*columns, COUNT]]


def _folding(names: Sequence[str], through: Sequence[str], each: Sequence[str]) -> Select[Any]:
    """The statement that counts the trials that agree in all of ``through``, and lists ``each``."""
    alike = [TRIALS.c.sweep_id, *(TRIALS.c[name] for name in through)]
    shown = [TRIALS.c.sweep_id if name == "sweep" else TRIALS.c[name] for name in names]
    lists = [func.aggregate_strings(cast(TRIALS.c[name], Text), ",") for name in each]
    return select(*shown, func.count(), *lists).group_by(*alike).order_by(*alike)


def _of_leaks(own: Sequence[str], through: Sequence[str]) -> Select[Any]:
    """The statement that yields ``own`` of the leaking trials, in the order of `_folding`."""
    alike = [TRIALS.c.sweep_id, *(TRIALS.c[name] for name in through)]
    # As a range: SQLite leaves what is constant out of the order, and would then sort again.
    leaking = TRIALS.c.verdict.between("leaks", "leaks")
    return select(*(TRIALS.c[name] for name in own)).where(leaking).order_by(*alike)


def _trial_by_trial(rows: pd.DataFrame, each: Sequence[str]) -> pd.DataFrame:
    """``rows`` with one for each trial, and ``each`` out of their lists, sorted by ``id``."""
    place = np.repeat(np.arange(len(rows)), rows[COUNT])
    own = pd.DataFrame({name: _unlisted(rows[LISTED[name]]) for name in each})
    if len(own) != len(place):
        raise ValueError(f"{len(own)} whole numbers in place of {len(place)}")
    order = np.argsort(own["id"].to_numpy("int64"))
    whole = rows.drop(columns=[LISTED[name] for name in each]).take(place[order])
    own = own.take(order).reset_index(drop=True)
    return whole.assign(**{COUNT: 1}).reset_index(drop=True).join(own)


def _unlisted(lists: pd.Series) -> pd.Series:
    """The numbers of all of ``lists``, in their order. Raises ValueError for what is none."""
    text = ",".join(lists) or ","
    numbers = pd.read_csv(
        StringIO(text), header=None, names=[""], dtype="int64", lineterminator=","
    )
    return numbers[""].astype("Int64")


def _apart(rows: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with one for each leaking trial and its ``values``, which come in their order."""
    leaks = rows["verdict"] == "leaks"
    place = np.repeat(np.arange(len(rows)), rows[COUNT].where(leaks, 1))
    whole = rows.take(place).reset_index(drop=True)
    alone = leaks.to_numpy(bool)[place]
    whole.loc[alone, COUNT] = 1
    return whole.join(values.set_index(np.flatnonzero(alone)))
