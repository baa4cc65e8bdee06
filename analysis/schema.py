"""The public columns of the database as a DataFrame holds them: kinds, orders, settings.

Owns what `analysis` knows of the schema in the documentation; `analysis.load` reads by it
and the tables group by it. Imports nothing of `sweep`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum, StrEnum
from types import MappingProxyType

import pandas as pd


class Kind(Enum):
    """What a column holds, by the pandas dtype that it is given."""

    WORD = "category"
    TEXT = "string"
    REAL = "float64"
    INT = "Int64"
    FLAG = "boolean"
    TIME = "datetime64[us, UTC]"


class SweepKind(StrEnum):
    """What a sweep is. Asked once, here: tables and pages are of one kind or another."""

    GRID = "grid"  # the product of its axes: values were chosen
    SEARCH = "search"  # settings were proposed one after the other: numbers are nearly all distinct
    WATCH = "watch"  # a user's own loop: a trial is a parameter


CAUSE_COLUMNS = ("by_history", "by_decay", "by_gradient", "by_intrinsic", "despite_none")
SETTING_AXES = ("optimizer", "lr", "weight_decay", "momentum", "zero_grad", "schedule", "freeze")
"""The axes that make a setting; the eighth, seed, makes replicates of it."""
SETTING_KEYS = (*SETTING_AXES, "workload", "steps", "options")
"""Everything that decides a trial but its seed."""
NUMERIC_AXES = ("lr", "weight_decay", "momentum")
MOST_VALUES = 16
"""Of a number that was searched: more are cut into as many parts with as many settings each."""

TRIAL_COLUMNS = MappingProxyType(
    {
        "id": Kind.INT,
        "sweep_id": Kind.INT,
        "environment_id": Kind.INT,
        "fingerprint": Kind.TEXT,
        "workload": Kind.WORD,
        "steps": Kind.INT,
        "optimizer": Kind.WORD,
        **dict.fromkeys(NUMERIC_AXES, Kind.REAL),
        **dict.fromkeys(("zero_grad", "schedule", "freeze"), Kind.WORD),
        "seed": Kind.INT,
        "options": Kind.WORD,
        "optimizer_package": Kind.WORD,
        "verdict": Kind.WORD,
        "moved": Kind.FLAG,
        **dict.fromkeys(("frozen_steps", "leaked_steps", "first_leak_step"), Kind.INT),
        **dict.fromkeys(("max_drift", "total_drift", "attached_motion", "drift_ratio"), Kind.REAL),
        "causes": Kind.WORD,
        "unexplained": Kind.TEXT,
        **dict.fromkeys(CAUSE_COLUMNS, Kind.FLAG),
        "sideways": Kind.FLAG,
        **dict.fromkeys(("initial_loss", "final_loss", "score", "frozen_norm"), Kind.REAL),
        "diverged": Kind.FLAG,
        "train_seconds": Kind.REAL,
        "error": Kind.TEXT,
        "finished_at": Kind.TIME,
    }
)
"""The columns of ``trial``, and what each holds."""

ENVIRONMENT_COLUMNS = MappingProxyType(
    {
        **dict.fromkeys(("torch", "python", "leaksweep", "system", "machine"), Kind.WORD),
        **dict.fromkeys(("cpu", "cpu_capability", "blas", "blas_mode", "device"), Kind.WORD),
        "threads": Kind.INT,
    }
)
"""The columns of ``environment``, joined to each trial where they are asked for."""

SWEEP_COLUMNS = MappingProxyType(
    {
        "id": Kind.INT,
        "name": Kind.TEXT,
        "spec": Kind.TEXT,
        "planned": Kind.INT,
        "created_at": Kind.TIME,
    }
)
"""The columns of ``sweep``."""
STEP_COLUMNS = MappingProxyType(
    {
        "step": Kind.INT,
        "frozen": Kind.FLAG,
        "loss": Kind.REAL,
        "grad": Kind.WORD,
        "moved": Kind.FLAG,
        "max_change": Kind.REAL,
        "score": Kind.REAL,
    }
)
"""The columns of ``step`` but the trial's id."""

READABLE = MappingProxyType(
    {"sweep": Kind.WORD, "sweep_kind": Kind.WORD, **TRIAL_COLUMNS, **ENVIRONMENT_COLUMNS}
)
"""Every column that `analysis.load.load_trials` can give; the first two are of the sweep."""

COUNT = "count"
"""The column of a folded frame that says how many trials a row stands for."""
SEEDS = "seeds"
"""The column of a folded frame with the seeds of a row's trials, joined by commas."""

CLEARINGS = ("none", "zero", "never")
"""The values of ``zero_grad``."""
USUAL_FREEZES = ("detach", "no_grad", "requires_grad")
"""The ways of freezing that people start from; what they do to the grad is the same."""
FREEZES = (*USUAL_FREEZES, "grad_none", "grad_zero", "lr_zero", "own_optimizer")
OWN = "own"
"""What `watch` records as the schedule and the way of freezing: the training loop's own."""
VERDICTS = ("leaks", "holds", "inert", "failed")
_ORDERS = {
    "zero_grad": CLEARINGS,
    "schedule": ("alternate", "always", "never"),
    "freeze": FREEZES,
    "verdict": VERDICTS,
}


def in_order(column: str, words: Iterable[str]) -> list[str]:
    """The distinct ``words`` of a column in the order readers expect.

    The column's own words come first in their documented order, then the others by
    alphabet without case, numbers inside them by size.

    >>> in_order("zero_grad", ["zero", "none"])
    ['none', 'zero']
    >>> in_order("schedule", ["after:10", "after:9", "alternate"])
    ['alternate', 'after:9', 'after:10']
    """
    first = {word: place for place, word in enumerate(_ORDERS.get(column, ()))}
    return sorted(set(words), key=lambda word: (first.get(word, len(first)), _natural(word)))


def counts(frame: pd.DataFrame) -> pd.Series:
    """How many trials each row stands for: 1 unless ``frame`` is folded."""
    if COUNT in frame:
        return frame[COUNT]
    return pd.Series(1, index=frame.index, dtype="int64")


def tallied(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """How many trials have each of `VERDICTS`, for each combination of ``keys`` that occurs."""
    of = {word: counts(frame).where(frame["verdict"] == word, 0) for word in VERDICTS}
    groups = frame[[*keys]].assign(**of).groupby([*keys], observed=True, dropna=False)
    return groups[[*VERDICTS]].sum()


def beside(rows: pd.DataFrame, keys: Sequence[str], axis: str, there: pd.Series) -> pd.Series:
    """For each row the label of the one that differs from it in ``axis`` alone; null for none.

    Of two such rows that is one of those which are ``there``, as booleans; ``keys`` tell rows
    apart, ``axis`` among them.
    """
    others = [name for name in keys if name != axis]
    same = rows.groupby(others, observed=True, dropna=False).ngroup()
    ends = same[there]
    return same.map(pd.Series(ends.index, index=ends.to_numpy()))


def searched(frame: pd.DataFrame) -> pd.Series:
    """Whether each row's sweep was searched, as booleans; a frame without kinds is a grid's."""
    if "sweep_kind" not in frame:
        return pd.Series(False, index=frame.index)
    return frame["sweep_kind"] == SweepKind.SEARCH


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy of ``frame`` whose known columns have the dtypes that `analysis.load` gives."""
    return frame.assign(**{name: _typed(frame[name]) for name in frame.columns if name in READABLE})


def as_words(rows: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with its categories as text, which a finished table is read and joined by."""
    words = [name for name in rows.columns if isinstance(rows[name].dtype, pd.CategoricalDtype)]
    return rows.astype(dict.fromkeys(words, "string"))


def _typed(column: pd.Series) -> pd.Series:
    name = str(column.name)
    if READABLE[name] is Kind.WORD:
        words = in_order(name, column.dropna().astype(str).unique())
        if isinstance(column.dtype, pd.CategoricalDtype):  # the same words in another order are
            return column.cat.set_categories(words)  # an equal dtype, to which astype does nothing
        return column.astype(pd.CategoricalDtype(words))
    return column.astype(READABLE[name].value)


def _natural(word: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A sort key: digits by value, letters without case, the word itself to break ties."""
    pieces = re.findall(r"\d+|\D+", word.casefold())
    numbers = [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in pieces]
    return numbers, word
