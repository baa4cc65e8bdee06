"""What failed, grouped by the error, so that one mistake is one row."""

from __future__ import annotations

import pandas as pd

from analysis.schema import SETTING_AXES, as_words

ERROR_LENGTH = 200


def failures(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each sweep, optimizer and error, the most frequent first.

    Columns: ``sweep``, ``optimizer``, ``error`` (its first line, at most 200 characters),
    ``trials``, and the first of them: ``example_id`` and its setting.
    """
    failed = frame[frame["verdict"] == "failed"].sort_values("id")
    failed = failed.assign(error=_first_lines(failed["error"]))
    keys = ["sweep", "optimizer", "error"]
    groups = failed.groupby(keys, observed=True, dropna=False)
    rows = groups.agg(trials=("id", "size"), example_id=("id", "first")).reset_index()
    rest = ["id", *(axis for axis in (*SETTING_AXES, "seed") if axis != "optimizer")]
    rows = rows.merge(failed[rest].rename(columns={"id": "example_id"}), on="example_id")
    order = ["sweep", "trials", "optimizer", "error"]
    rows = rows.sort_values(order, ascending=[True, False, True, True], ignore_index=True)
    return as_words(rows)


def _first_lines(errors: pd.Series) -> pd.Series:
    lines = errors.astype("string").str.strip().str.split("\n", n=1).str[0]
    return lines.str.slice(0, ERROR_LENGTH).astype("string")
