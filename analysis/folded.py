"""Trials out of a database with those that are alike as one row. Reads only.

What a summary table tells apart takes few values, and a million trials then come to some
thousand rows: the database counts them, along an index in which the trials of a setting lie
side by side. Seeds come as one text a row, which takes a third of the time of a row a trial;
drifts of leaking trials in the same order, as a text would cost them their last bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sqlalchemy import Select, Text, cast, func, select

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
    shared = [name for name in columns if name in SHARED]
    through = SHARED[: max(map(SHARED.index, [*shared, "verdict"])) + 1]
    drifts = [name for name in columns if name in OF_LEAKS]
    lists = [SEEDS] if "seed" in columns else []
    names = list(dict.fromkeys(["sweep", *(n for n in columns if n in FOLDABLE), "verdict"]))
    names = [name for name in names if name not in ("seed", *OF_LEAKS)]
    with connected(database) as connection:
        query = _folding(names, through, lists)
        rows = read_rows(connection, query, [*names, COUNT, *lists], sweep, kinds)
        rows[COUNT] = rows[COUNT].astype("int64")
        if lists:
            _check_seeds(rows)
        if drifts:
            values = read_rows(connection, _of_leaks(drifts, through), drifts, sweep, kinds)
            rows = _apart(rows, values)
    return rows[[*(SEEDS if name == "seed" else name for name in columns), COUNT]]


class Reads(Protocol):
    """What is made from trials: the columns it needs, and of which trials."""

    @property
    def needs(self) -> Sequence[str]:
        """Columns of `analysis.schema.READABLE`."""

    @property
    def only(self) -> str | None:
        """The one verdict that it is about; None for all."""

    @property
    def scored(self) -> bool:
        """Whether it is about trials that have a score alone."""

    @property
    def kinds(self) -> frozenset[SweepKind]:
        """The kinds of sweep that it is about."""


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
            return load_trials(
                *self._place,
                columns=want.needs,
                verdict=want.only,
                scored=want.scored,
                kinds=want.kinds,
            )
        reading = (_has_drifts(want), want.kinds)
        if reading not in self._folded:
            alike = [w for w in (*self._wants, want) if (_has_drifts(w), w.kinds) == reading]
            names = list(dict.fromkeys(name for each in alike for name in each.needs))
            self._folded[reading] = load_folded(*self._place, columns=names, kinds=want.kinds)
        return self._folded[reading]


def _has_drifts(want: Reads) -> bool:
    return any(name in OF_LEAKS for name in want.needs)


def _folding(names: Sequence[str], through: Sequence[str], lists: Sequence[str]) -> Select[Any]:
    """The statement that counts the trials that agree in all of ``through``, and lists seeds."""
    alike = [TRIALS.c.sweep_id, *(TRIALS.c[name] for name in through)]
    listed = [func.aggregate_strings(cast(TRIALS.c.seed, Text), ",")] if lists else []
    return (
        select(*map(trial_column, names), func.count(), *listed).group_by(*alike).order_by(*alike)
    )


def _of_leaks(own: Sequence[str], through: Sequence[str]) -> Select[Any]:
    """The statement that yields ``own`` of the leaking trials, in the order of `_folding`."""
    alike = [TRIALS.c.sweep_id, *(TRIALS.c[name] for name in through)]
    # As a range: SQLite leaves what is constant out of the order, and would then sort again.
    leaking = TRIALS.c.verdict.between("leaks", "leaks")
    return select(*(TRIALS.c[name] for name in own)).where(leaking).order_by(*alike)


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
