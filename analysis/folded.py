"""Trials out of a database with those that are alike as one row. Reads only.

What a summary table tells apart takes few values, and a million trials then come to some
thousand rows: the database counts them, along an index in which the trials of a setting lie
side by side. What differs from trial to trial is read one value a trial, in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Select, func, select

from analysis.load import TRIALS, connected, read_rows
from analysis.schema import CAUSES, COUNT, SETTING

SHARED = (*SETTING, "verdict", "diverged", *CAUSES, "sideways")
"""Columns that many trials have in common, in the order of the index."""
OF_LEAKS = ("max_drift", "drift_ratio")
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
        The columns, of the types that `analysis.load.load` gives, and ``count``: how many
        trials a row stands for. With a column of `OF_LEAKS`, each leaking trial has a row of
        its own, and in the other rows the column is null. With one of `OF_EACH`, each trial
        has, in the order of their ids. Otherwise there may be several rows that are equal in
        all but ``count``, in any order.

    Raises:
        SweepMissingError, DatabaseMissingError, UnreadableDatabaseError, MissingLibraryError:
            as `analysis.load.load` does.
    """
    shared = [name for name in columns if name in SHARED]
    through = SHARED[: max(map(SHARED.index, [*shared, "verdict"])) + 1]
    own = [name for name in columns if name in (*OF_LEAKS, *OF_EACH)]
    verdict = None if any(name in OF_EACH for name in own) else "leaks"
    names = ["sweep", *dict.fromkeys([*shared, "verdict"])]
    with connected(url) as connection:
        rows = read_rows(connection, _folding(names, through), [*names, COUNT], sweep)
        rows[COUNT] = rows[COUNT].astype("int64")
        if own:
            query = _listing(["id", *own], through, verdict)
            values = read_rows(connection, query, ["id", *own], sweep)
            rows = _unfolded(rows, values, verdict)
    return rows[[*columns, COUNT]]


def _folding(names: Sequence[str], through: Sequence[str]) -> Select[Any]:
    """The statement that counts the trials that agree in all of ``through``."""
    alike = [TRIALS.c.sweep_id, *(TRIALS.c[name] for name in through)]
    shown = [TRIALS.c.sweep_id if name == "sweep" else TRIALS.c[name] for name in names]
    return select(*shown, func.count()).group_by(*alike).order_by(*alike)


def _listing(own: Sequence[str], through: Sequence[str], verdict: str | None) -> Select[Any]:
    """The statement that yields ``own`` trial by trial, in the order of `_folding`."""
    alike = [TRIALS.c.sweep_id, *(TRIALS.c[name] for name in through)]
    query = select(*(TRIALS.c[name] for name in own)).order_by(*alike)
    if verdict is None:
        return query
    # As a range: SQLite leaves what is constant out of the order, and would then sort again.
    return query.where(TRIALS.c.verdict.between(verdict, verdict))


def _unfolded(rows: pd.DataFrame, values: pd.DataFrame, verdict: str | None) -> pd.DataFrame:
    """``rows`` with one for each trial of ``verdict``, or of any, and its ``values``.

    The values come in the order of the rows; those of unfolded trials are sorted by ``id``.
    """
    apart = pd.Series(True, rows.index) if verdict is None else rows["verdict"] == verdict
    place = np.repeat(np.arange(len(rows)), rows[COUNT].where(apart, 1))
    if verdict is None:
        order = np.argsort(values["id"].to_numpy("int64"))
        place, values = place[order], values.take(order)
    whole = rows.take(place).reset_index(drop=True)
    alone = apart.to_numpy(bool)[place]
    whole.loc[alone, COUNT] = 1
    return whole.join(values.set_index(np.flatnonzero(alone)))
