"""Values out of a database as columns of their kinds: the one place where they are checked.

A file comes from anywhere, and SQLite keeps any value in any column. `sweep.store.checked` does
the same for whoever runs trials.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from types import MappingProxyType, NoneType
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import CLEARINGS, FREEZES, OWN, VERDICTS, Kind

NEVER_NULL = frozenset(
    {"id", "sweep_id", "environment_id", "fingerprint", "workload", "steps", "options", "verdict"}
    | {"optimizer", "zero_grad", "schedule", "freeze", "seed", "train_seconds", "finished_at"}
    | {"torch", "python", "leaksweep", "device", "threads"}
    | {"trial_id", "step", "frozen", "grad"}
    | {"name", "spec", "planned", "created_at"}
)
"""Columns that have a value in every row."""
UNSIGNED_COLUMNS = frozenset(
    {"planned", "steps", "seed", "threads", "step", "count", "train_seconds"}
    | {"frozen_steps", "leaked_steps", "first_leak_step", "frozen_norm", "max_change"}
    | {"max_drift", "total_drift", "attached_motion", "drift_ratio"}
)
FINITE_COLUMNS = frozenset({"train_seconds"})
WORDS_OF_COLUMNS = MappingProxyType(
    {
        "verdict": frozenset(VERDICTS),
        "zero_grad": frozenset(CLEARINGS),
        "freeze": frozenset((*FREEZES, OWN)),
        "grad": frozenset(("none", "zero", "nonzero")),
    }
)
"""Columns that hold the words of a closed set."""
CAUSE_SETS = re.compile(r"(?:intrinsic|history|decay|gradient|\+|, )*")

_TYPES = {
    Kind.WORD: (str,),
    Kind.TEXT: (str,),
    Kind.REAL: (float, int),
    Kind.INT: (int,),
    Kind.FLAG: (bool, int),
    Kind.TIME: (str, datetime),
}


def column_of(name: str, kind: Kind, values: Sequence[Any]) -> pd.Series:
    """``values`` of the column ``name``, in as little room as their ``kind`` allows.

    Raises ValueError for a value that this program does not write there.
    """
    allowed = {*_TYPES[kind], *(() if name in NEVER_NULL else (NoneType,))}
    if not allowed.issuperset(map(type, values)):
        raise _wrong(name, next(value for value in values if type(value) not in allowed))
    if kind is Kind.TIME:
        if "" in values:  # which pandas takes for none
            raise _wrong(name, "")
        return pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601")
    if kind is Kind.WORD:
        found = pd.Series(pd.Categorical(list(values)))
        known = WORDS_OF_COLUMNS.get(name, found.cat.categories)
        wrong = [word for word in found.cat.categories if word not in known]
        if name == "causes":
            wrong = [word for word in found.cat.categories if not CAUSE_SETS.fullmatch(word)]
    else:
        found = pd.Series(pd.array(values, dtype=kind.value))
        wrong = found[(found < 0).fillna(False)].tolist() if name in UNSIGNED_COLUMNS else []
        if name in FINITE_COLUMNS:
            wrong += found[np.isinf(found)].tolist()
    if wrong:
        raise _wrong(name, wrong[0])
    return found


def _wrong(name: str, value: Any) -> ValueError:
    return ValueError(f"{name} is {value!r:.40}")
