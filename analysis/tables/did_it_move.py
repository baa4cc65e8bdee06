"""Did the frozen layer move? The answer of a whole sweep, exact, in as few rows as it takes.

A setting without its ``zero_grad`` has a cell for each ``zero_grad``. Settings that differ on
one axis and have the same cells are one row, which says which values they have on it; so are
optimizers whose rows are the same. Nothing is averaged: a word in a cell is that of every
trial behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from analysis.schema import (
    CLEARINGS,
    MOST_VALUES,
    NUMERIC_AXES,
    SETTING_AXES,
    VERDICTS,
    in_order,
    searched,
    tallied,
)

ANY = "any"
"""In place of values: all that the sweep has for these optimizers."""
BESIDE = tuple(axis for axis in SETTING_AXES if axis not in ("optimizer", "zero_grad"))
_Values = frozenset[str | float | None]
_EVERY: _Values = frozenset([ANY])


class _Row(NamedTuple):
    """Settings with the same cells: all combinations of ``values``.

    Attributes:
        values: the optimizers, then for each axis of `BESIDE` what they have on it.
        cells: for each of `CLEARINGS`, what its trials did; see `_cell`.
        counts: the trials of each of `VERDICTS`.
    """

    values: tuple[_Values, ...]
    cells: tuple[str, ...]
    counts: tuple[int, ...]


def results(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for settings that did the same, of each sweep; those of most optimizers first.

    Columns: ``sweep``, ``optimizers`` (names, joined by commas), then for each axis its values
    (``any`` for all that the sweep has for these optimizers, null where it applies to none,
    the ends where a number was searched), then ``none``, ``zero`` and ``never``: ``leaks``,
    ``holds``, ``inert`` or ``failed`` where all trials did the same, else counts such as
    ``leaks 2/3``, and null where there are none; then ``trials`` (that leak or hold),
    ``leaks``, ``inert`` and ``failed``.
    """
    rows = [
        {"sweep": sweep} | _told(row)
        for sweep, trials in frame.groupby("sweep", observed=True)
        for row in sorted(_fewest(_settings(trials)), key=_reading_order)
    ]
    numbers = ["trials", "leaks", "inert", "failed"]
    words = ["sweep", "optimizers", *BESIDE, *CLEARINGS]
    kinds = dict.fromkeys(words, "string") | dict.fromkeys(numbers, "int64")
    return pd.DataFrame(rows, columns=[*words, *numbers]).astype(kinds)


def _settings(trials: pd.DataFrame) -> list[_Row]:
    """A row for each optimizer and point of `BESIDE`."""
    found: dict[tuple[_Values, ...], dict[str, list[int]]] = {}
    counted = tallied(_without_searched(trials), ["optimizer", *BESIDE, "zero_grad"])
    for (*point, clearing), *counts in counted.itertuples(name=None):
        values = tuple(frozenset([None if pd.isna(value) else value]) for value in point)
        found.setdefault(values, {})[clearing] = counts
    return [
        _Row(
            values,
            tuple(_cell(cells.get(word, [])) for word in CLEARINGS),
            tuple(map(sum, zip(*cells.values(), strict=True))),
        )
        for values, cells in found.items()
    ]


def _without_searched(trials: pd.DataFrame) -> pd.DataFrame:
    """``trials`` with the ends of a searched number's values in place of each of them."""
    if not searched(trials).any():
        return trials
    many = [axis for axis in NUMERIC_AXES if trials[axis].nunique() > MOST_VALUES]
    ends = {axis: f"{trials[axis].min():.3g} to {trials[axis].max():.3g}" for axis in many}
    return trials.assign(
        **{a: pd.Series(text, trials.index).where(trials[a].notna()) for a, text in ends.items()}
    )


def _cell(counts: list[int]) -> str:
    """The verdict of all trials; where they differ, the first that occurs with its count."""
    told = [(word, count) for word, count in zip(VERDICTS, counts, strict=False) if count]
    if not told:  # a verdict that is none is counted nowhere
        return ""
    word, count = told[0]
    return word if len(told) == 1 else f"{word} {count}/{sum(counts)}"


def _fewest(rows: list[_Row]) -> list[_Row]:
    """``rows`` with those that differ on one axis alone put together, then optimizers alike."""
    before = None
    while before != len(rows):
        before = len(rows)
        for axis in range(1, len(BESIDE) + 1):
            others = [(row.values[:axis], row.values[axis + 1 :], row.cells) for row in rows]
            rows = _merged(rows, others)
    of_optimizer = _merged(rows, [row.values[0] for row in rows])
    whole = {row.values[0]: row.values for row in of_optimizer}
    for place, row in enumerate(rows):
        optimizer, *both = zip(row.values, whole[row.values[0]], strict=True)
        marked = (own | _EVERY if own == every else own for own, every in both)
        rows[place] = row._replace(values=(optimizer[0], *marked))
    axes = [tuple(_EVERY if ANY in own else own for own in row.values[1:]) for row in rows]
    return _merged(rows, [(own, row.cells) for own, row in zip(axes, rows, strict=True)])


def _merged(rows: list[_Row], keys: Sequence[object]) -> list[_Row]:
    """``rows`` with those put together that have one key."""
    alike: dict[object, list[_Row]] = {}
    for row, key in zip(rows, keys, strict=True):
        alike.setdefault(key, []).append(row)
    return [
        some[0]
        if len(some) == 1
        else _Row(
            tuple(frozenset().union(*own) for own in zip(*(r.values for r in some), strict=True)),
            some[0].cells,
            tuple(map(sum, zip(*(row.counts for row in some), strict=True))),
        )
        for some in alike.values()
    ]


def _told(row: _Row) -> dict[str, str | int | None]:
    """The row as the table has it."""
    of = dict(zip(VERDICTS, row.counts, strict=True))
    optimizers, *axes = map(_text, ("optimizer", *BESIDE), row.values)
    return {
        "optimizers": optimizers,
        **dict(zip(BESIDE, axes, strict=True)),
        **{word: cell or None for word, cell in zip(CLEARINGS, row.cells, strict=True)},
        "trials": of["leaks"] + of["holds"],
        **{name: of[name] for name in ("leaks", "inert", "failed")},
    }


def _text(axis: str, values: _Values) -> str | None:
    """The values in words; ``any`` where there are several and the mark says that it is all."""
    if ANY in values and len(values) > 2:
        return ANY
    known = [value for value in values if value not in (None, ANY)]
    numbers = sorted(value for value in known if isinstance(value, float))
    words = in_order(axis, [value for value in known if isinstance(value, str)])
    texts = [f"{number:.6g}" for number in numbers] + words
    if texts and None in values:
        texts.append("null")
    return ", ".join(texts) or None


def _reading_order(row: _Row) -> tuple[object, ...]:
    """Most optimizers first, then by name, then by the axes from the last to the first."""
    optimizers, *axes = row.values
    texts = [_text(axis, values) or "" for axis, values in zip(BESIDE, axes, strict=True)]
    return -len(optimizers), in_order("optimizer", map(str, optimizers)), texts[::-1]
