"""Trials out of a database with those that are alike as one row. Reads only.

What a summary table tells apart takes few values, and a million trials then come to some
thousand rows: the database counts them, along an index in which the trials of a setting lie
side by side. Seeds come as one text a row, which takes a third of the time of a row a trial;
drifts of leaking trials in the same order, as a text would cost them their last bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, Text, cast, func, select

from analysis.connection import connected
from analysis.load import TRIALS, load_trials, read_rows, trial_column
from analysis.schema import CAUSE_COLUMNS, COUNT, SEEDS, SETTING_KEYS, SweepKind

SHARED = (*SETTING_KEYS, "verdict", "diverged", "causes", *CAUSE_COLUMNS, "sideways")
"""Columns that many trials have in common, in the order of the index."""
OF_LEAKS = ("max_drift", "drift_ratio", "total_drift", "attached_motion")
"""Columns that are given for leaking trials alone, each of which then has a row of its own."""
FOLDABLE = frozenset({"sweep", "sweep_kind", "seed", *SHARED, *OF_LEAKS})
"""Every column that `load_folded` can give."""
_DIGITS = r"\d+(?:,\d+)*"


def load_folded(
    database: str,
    sweep: str | None = None,
    *,
    columns: Sequence[str],
    kinds: frozenset[SweepKind] = frozenset(SweepKind),
) -> pd.DataFrame:
    """The trials of one sweep or of all, those that agree in ``columns`` as one row.

    Args:
        database: a file's path or any SQLAlchemy URL; SQLite files are opened read-only.
        sweep: a sweep's name; None for all of them.
        columns: names of `FOLDABLE`; ``seed`` with a column of `OF_LEAKS` cannot be had.
        kinds: for the trials of sweeps of these kinds alone.

    Returns:
        The columns, of the types that `analysis.load.load_trials` gives, and ``count``: how many
        trials a row stands for. In place of ``seed`` there is ``seeds``, all of theirs joined by
        commas. With a column of `OF_LEAKS`, each leaking trial has a row of its own, and in the
        other rows the column is null. There may be several rows that are equal in all but
        ``count``, in any order.

    Raises:
        SweepMissingError, DatabaseMissingError, UnreadableDatabaseError, MissingLibraryError:
            as `analysis.load.load_trials` does.
    """
    last = max(SHARED.index(name) for name in (*columns, "verdict") if name in SHARED)
    alike = [TRIALS.c.sweep_id, *(TRIALS.c[name] for name in SHARED[: last + 1])]
    drifts = [name for name in columns if name in OF_LEAKS]
    names = [name for name in columns if name not in ("seed", *OF_LEAKS)]
    names = list(dict.fromkeys(["sweep", *names, "verdict"]))
    counted: list[ColumnElement[Any]] = [func.count()]
    listed = [COUNT]
    if "seed" in columns:
        counted.append(func.aggregate_strings(cast(TRIALS.c.seed, Text), ","))
        listed.append(SEEDS)
    query = select(*map(trial_column, names), *counted).group_by(*alike).order_by(*alike)
    with connected(database) as connection:
        rows = read_rows(connection, query, [*names, *listed], sweep, kinds)
        rows[COUNT] = rows[COUNT].astype("int64")
        if "seed" in columns:
            _check_seeds(rows)
        if drifts:
            # As a range: SQLite leaves what is constant out of the order, and would sort again.
            leaking = TRIALS.c.verdict.between("leaks", "leaks")
            query = select(*map(trial_column, drifts)).where(leaking).order_by(*alike)
            rows = _apart(rows, read_rows(connection, query, drifts, sweep, kinds))
    return rows[[*(SEEDS if name == "seed" else name for name in columns), COUNT]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What is made from trials, and from which.

    Attributes:
        needs: the columns of the trials that it reads, of `analysis.schema.READABLE`.
        only: the word of `analysis.load.ONLY` for the trials that it is about; None for all.
        kinds: the kinds of sweep that it says something of.
    """

    needs: tuple[str, ...]
    only: str | None = None
    kinds: frozenset[SweepKind] = frozenset(SweepKind)


class Readings:
    """The trials of one sweep, or of all, for whoever makes several things of them.

    Most tables and figures read the same columns. Each of the two kinds of reading is done
    once, with all that is wanted of it; two of them may be of different states.

    Args:
        database, sweep: as `load_folded` takes them.
        wants: what will be made.
    """

    def __init__(self, database: str, sweep: str | None, wants: Iterable[Reads]) -> None:
        self._place = (database, sweep)
        self._wants = [want for want in wants if FOLDABLE.issuperset(want.needs)]
        self._folded: dict[tuple[bool, frozenset[SweepKind]], pd.DataFrame] = {}

    def of(self, want: Reads) -> pd.DataFrame:
        """The trials that ``want`` is made from, folded where that can be.

        Raises as `analysis.load.load_trials` does.
        """
        if not FOLDABLE.issuperset(want.needs):
            return load_trials(*self._place, columns=want.needs, only=want.only, kinds=want.kinds)
        reading = _reading(want)
        if reading not in self._folded:
            alike = [each for each in (*self._wants, want) if _reading(each) == reading]
            names = list(dict.fromkeys(name for each in alike for name in each.needs))
            self._folded[reading] = load_folded(*self._place, columns=names, kinds=want.kinds)
        return self._folded[reading]


def _reading(want: Reads) -> tuple[bool, frozenset[SweepKind]]:
    """Of what sweeps it is about, and whether it needs a row for each leaking trial."""
    return any(name in OF_LEAKS for name in want.needs), want.kinds


def _check_seeds(rows: pd.DataFrame) -> None:
    """Raises ValueError where a list of seeds lacks one or holds what is no whole number."""
    whole = rows[SEEDS].str.fullmatch(_DIGITS) & (rows[SEEDS].str.count(",") + 1 == rows[COUNT])
    if not whole.fillna(False).all():
        raise ValueError("a seed that is no whole number")


def _apart(rows: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with one for each leaking trial and its ``values``, which come in their order."""
    leaks = rows["verdict"] == "leaks"
    place = np.repeat(np.arange(len(rows)), rows[COUNT].where(leaks, 1))
    whole = rows.take(place).reset_index(drop=True)
    alone = leaks.to_numpy(bool)[place]
    whole.loc[alone, COUNT] = 1
    return whole.join(values.set_index(np.flatnonzero(alone)))
