"""The public columns of the database as a DataFrame holds them: kinds, orders, settings.

Owns what `analysis` knows of the schema in the documentation; `analysis.load` reads by it
and the tables group by it. Imports nothing of `sweep`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
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


CAUSES = ("by_history", "by_decay", "by_gradient", "by_intrinsic", "despite_none")
AXES = ("optimizer", "lr", "weight_decay", "momentum", "zero_grad", "schedule", "freeze")
"""The axes that make a setting; the eighth, seed, makes replicates of it."""
SETTING = (*AXES, "workload", "steps", "options")
"""Everything that decides a trial but its seed."""

TRIAL = MappingProxyType(
    {
        "id": Kind.INT,
        "sweep_id": Kind.INT,
        "environment_id": Kind.INT,
        "fingerprint": Kind.TEXT,
        "workload": Kind.WORD,
        "steps": Kind.INT,
        "optimizer": Kind.WORD,
        "lr": Kind.REAL,
        "weight_decay": Kind.REAL,
        "momentum": Kind.REAL,
        "zero_grad": Kind.WORD,
        "schedule": Kind.WORD,
        "freeze": Kind.WORD,
        "seed": Kind.INT,
        "options": Kind.WORD,
        "optimizer_package": Kind.WORD,
        "verdict": Kind.WORD,
        "moved": Kind.FLAG,
        "frozen_steps": Kind.INT,
        "leaked_steps": Kind.INT,
        "first_leak_step": Kind.INT,
        "max_drift": Kind.REAL,
        "total_drift": Kind.REAL,
        "attached_motion": Kind.REAL,
        "drift_ratio": Kind.REAL,
        "causes": Kind.WORD,
        "unexplained": Kind.TEXT,
        **dict.fromkeys(CAUSES, Kind.FLAG),
        "sideways": Kind.FLAG,
        "initial_loss": Kind.REAL,
        "final_loss": Kind.REAL,
        "score": Kind.REAL,
        "frozen_norm": Kind.REAL,
        "diverged": Kind.FLAG,
        "train_seconds": Kind.REAL,
        "error": Kind.TEXT,
        "finished_at": Kind.TIME,
    }
)
"""The columns of ``trial``, and what each holds."""

ENVIRONMENT = MappingProxyType(
    {
        "torch": Kind.WORD,
        "python": Kind.WORD,
        "leaksweep": Kind.WORD,
        "system": Kind.WORD,
        "machine": Kind.WORD,
        "cpu": Kind.WORD,
        "cpu_capability": Kind.WORD,
        "blas": Kind.WORD,
        "blas_mode": Kind.WORD,
        "device": Kind.WORD,
        "threads": Kind.INT,
    }
)
"""The columns of ``environment``, joined to each trial where they are asked for."""

COLUMNS = MappingProxyType({"sweep": Kind.WORD, **TRIAL, **ENVIRONMENT})
"""Every column that `analysis.load.load_trials` can give."""

COUNT = "count"
"""The column of a folded frame that says how many trials a row stands for."""

LISTED = MappingProxyType({"id": "ids", "seed": "seeds"})
"""The columns of a folded frame that hold a number for each of its trials, joined by commas."""

ZERO_GRAD = ("none", "zero", "never")
FREEZES = (
    "detach",
    "no_grad",
    "requires_grad",
    "grad_none",
    "grad_zero",
    "lr_zero",
    "own_optimizer",
)
_ORDERS = {
    "zero_grad": ZERO_GRAD,
    "schedule": ("alternate", "always", "never"),
    "freeze": FREEZES,
    "verdict": ("leaks", "holds", "inert", "failed"),
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


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy of ``frame`` whose known columns have the dtypes that `analysis.load` gives."""
    return frame.assign(**{name: _typed(frame[name]) for name in frame.columns if name in COLUMNS})


def _typed(column: pd.Series) -> pd.Series:
    name = str(column.name)
    if COLUMNS[name] is Kind.WORD:
        words = in_order(name, column.dropna().astype(str))
        return column.astype(pd.CategoricalDtype(words))
    return column.astype(COLUMNS[name].value)


def _natural(word: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A sort key: digits by value, letters without case, the word itself to break ties."""
    pieces = re.findall(r"\d+|\D+", word.casefold())
    numbers = [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in pieces]
    return numbers, word
