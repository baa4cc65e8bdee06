"""The leaks as a DataFrame."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sweep.watching.findings import Leak

_DTYPES = {
    "parameter": "string",
    "step": "int64",
    "change": "float64",
    "grad": "string",
    "cause": "string",
    "optimizer": "int64",
}


def leak_table(leaks: Sequence[Leak], *, with_rows: bool) -> pd.DataFrame:
    """One row a leak, in order; the columns are `sweep.watching.session.Watch.table`'s."""
    columns = {
        "parameter": [leak.parameter for leak in leaks],
        "step": [leak.step for leak in leaks],
        "change": [leak.max_change for leak in leaks],
        "grad": [str(leak.grad) for leak in leaks],
        "cause": [None if leak.explanation is None else str(leak.explanation) for leak in leaks],
        "optimizer": [leak.optimizer for leak in leaks],
    }
    frame = pd.DataFrame(columns).astype(_DTYPES)
    if with_rows:
        frame["rows"] = pd.Series([len(leak.moved_rows or ()) for leak in leaks], dtype="int64")
    return frame
