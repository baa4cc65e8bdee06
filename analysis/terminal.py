"""The summary that is shown when a sweep ends, small enough for a terminal of 80 columns.

Owns what the cells say; drawing them is for the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.schema import CLEARINGS, SETTING_AXES, typed

NEEDS = ("sweep", *SETTING_AXES, "verdict")
MOST_ROWS = 40  # more rows than this scroll out of sight; then one row an optimizer
WIDTH = 80
_BETWEEN = 3  # columns that a drawn table takes between two cells

_HEADS = {"weight_decay": "decay"}  # shorter heads, for the width
_SETTING_TITLE = "Did the frozen layer move? By zero_grad; 2/3 is trials that did, of all"
_OPTIMIZER_TITLE = "Trials whose frozen layer moved, of those that prove it, by zero_grad"


_Cell = Callable[[pd.Series], str]


@dataclass(frozen=True, slots=True)
class SummaryTable:
    """A table of text: what its cells mean, the heads of its columns, and its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def summary(frame: pd.DataFrame) -> SummaryTable:
    """A row for each setting and a cell for each ``zero_grad``; of a large sweep, an optimizer.

    A setting's cell is ``leaks`` or ``holds``, with counts such as ``leaks 2/3`` where its
    trials differ, ``inert`` or ``failed`` where none of them proves anything, and empty
    where there are none. An optimizer's cell is leaks over conclusive trials, ``36/36``,
    then ``+1 failed`` or ``+2 inert`` where there are such. ``frame`` holds one sweep.
    """
    frame = typed(frame)
    axes = [axis for axis in SETTING_AXES if axis != "zero_grad" and _is_worth_showing(frame, axis)]
    table = _table(frame, axes, _setting_cell, _SETTING_TITLE)
    if len(table.rows) <= MOST_ROWS and _width(table) <= WIDTH:
        return table
    return _table(frame, ["optimizer"], _optimizer_cell, _OPTIMIZER_TITLE)


def _is_worth_showing(frame: pd.DataFrame, axis: str) -> bool:
    """The optimizer always, and every axis whose value is not the same in every trial."""
    return axis == "optimizer" or frame[axis].nunique(dropna=False) > 1


def _table(frame: pd.DataFrame, axes: list[str], cell: _Cell, title: str) -> SummaryTable:
    words = [word for word in CLEARINGS if (frame["zero_grad"] == word).any()]
    rows = []
    for key, group in frame.groupby(axes, observed=True, dropna=False):
        by_word = [cell(group.loc[group["zero_grad"] == word, "verdict"]) for word in words]
        rows.append((*(_text(value) for value in key), *by_word))
    heads = (*(_HEADS.get(axis, axis) for axis in axes), *words)
    return SummaryTable(title, heads, tuple(rows))


def _setting_cell(verdicts: pd.Series) -> str:
    counts = verdicts.value_counts()
    for verdict in ("leaks", "holds", "inert", "failed"):
        if counts.get(verdict, 0):
            agreed = counts[verdict] == len(verdicts)
            return verdict if agreed else f"{verdict} {counts[verdict]}/{len(verdicts)}"
    return ""


def _optimizer_cell(verdicts: pd.Series) -> str:
    counts = verdicts.value_counts()
    leaks, holds = counts.get("leaks", 0), counts.get("holds", 0)
    parts = [f"{leaks}/{leaks + holds}"] if leaks + holds else []
    parts += [f"+{counts[word]} {word}" for word in ("inert", "failed") if counts.get(word, 0)]
    return " ".join(parts)


def _text(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _width(table: SummaryTable) -> int:
    """The columns that the table takes when drawn: its widest cells and what is between."""
    lines: Sequence[tuple[str, ...]] = (table.columns, *table.rows)
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return sum(widths) + _BETWEEN * len(widths) + 1
