"""Did the frozen layer move? The answer of a whole sweep, exact, in as few rows as it takes.

A setting without its ``zero_grad`` has a cell for each ``zero_grad``. Settings that differ on
one axis and have the same cells are one row, which says which values they have on it; so are
optimizers whose rows are the same. Nothing is averaged: a word in a cell is that of every
trial behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.schema import (
    CLEARINGS,
    MOST_VALUES,
    NUMERIC_AXES,
    SETTING_AXES,
    VERDICTS,
    counts,
    in_order,
    searched,
)

ANY = "any"
"""In place of values: all that the sweep has for these optimizers."""
BESIDE = tuple(axis for axis in SETTING_AXES if axis not in ("optimizer", "zero_grad"))
_Values = frozenset[str | float | None]
_Counts = tuple[int, ...]
_EVERY: _Values = frozenset([ANY])


@dataclass(frozen=True, slots=True)
class _Row:
    """Settings with the same cells: all combinations of ``values``, for each of ``optimizers``.

    Attributes:
        optimizers: their names.
        values: for each axis of `BESIDE`, what they have on it.
        cells: for each of `CLEARINGS`, what its trials did; see `_cell`.
        counts: the trials of each of `VERDICTS`.
    """

    optimizers: frozenset[str]
    values: tuple[_Values, ...]
    cells: tuple[str, ...]
    counts: _Counts


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
        for row in _merged(trials)
    ]
    numbers = ["trials", "leaks", "inert", "failed"]
    words = ["sweep", "optimizers", *BESIDE, *CLEARINGS]
    kinds = dict.fromkeys(words, "string") | dict.fromkeys(numbers, "int64")
    return pd.DataFrame(rows, columns=[*words, *numbers]).astype(kinds)


def _merged(trials: pd.DataFrame) -> list[_Row]:
    """The rows of one sweep."""
    rows = _fewest([_row(*each) for each in _settings(trials)], range(len(BESIDE)))
    seen: dict[str, list[set[str | float | None]]] = {}
    for row in rows:
        own = seen.setdefault(min(row.optimizers), [set() for _ in BESIDE])
        for values, more in zip(own, row.values, strict=True):
            values.update(more)
    whole = [_with_any(row, seen[min(row.optimizers)]) for row in rows]
    alike: dict[tuple[object, ...], list[_Row]] = {}
    for row in whole:
        key = tuple(_EVERY if ANY in values else values for values in row.values)
        alike.setdefault((key, row.cells), []).append(row)
    return sorted(map(_one, alike.values()), key=_reading_order)


def _settings(
    trials: pd.DataFrame,
) -> Iterable[tuple[str, tuple[str | float | None, ...], dict[str, _Counts]]]:
    """Each optimizer and point of `BESIDE`, with the counts of verdicts by ``zero_grad``."""
    keys = ["optimizer", *BESIDE, "zero_grad"]
    marked = _without_searched(trials)[keys].assign(
        **{word: counts(trials).where(trials["verdict"] == word, 0) for word in VERDICTS}
    )
    summed = marked.groupby(keys, observed=True, dropna=False)[list(VERDICTS)].sum()
    cells: dict[tuple[str, tuple[str | float | None, ...]], dict[str, _Counts]] = {}
    for (optimizer, *values, clearing), *found in summed.itertuples(name=None):
        point = tuple(None if pd.isna(value) else value for value in values)
        cells.setdefault((optimizer, point), {})[clearing] = tuple(found)
    return ((optimizer, point, found) for (optimizer, point), found in cells.items())


def _without_searched(trials: pd.DataFrame) -> pd.DataFrame:
    """``trials`` with the ends of a searched number's values in place of each of them."""
    if not searched(trials).any():
        return trials
    many = [axis for axis in NUMERIC_AXES if trials[axis].nunique() > MOST_VALUES]
    ends = {axis: f"{trials[axis].min():.3g} to {trials[axis].max():.3g}" for axis in many}
    return trials.assign(
        **{a: pd.Series(text, trials.index).where(trials[a].notna()) for a, text in ends.items()}
    )


def _row(optimizer: str, point: tuple[str | float | None, ...], cells: dict[str, _Counts]) -> _Row:
    return _Row(
        optimizers=frozenset([optimizer]),
        values=tuple(frozenset([value]) for value in point),
        cells=tuple(_cell(cells.get(word)) for word in CLEARINGS),
        counts=tuple(map(sum, zip(*cells.values(), strict=True))),
    )


def _cell(found: _Counts | None) -> str:
    """The verdict of all trials; where they differ, the first that occurs with its count."""
    if found is None or not any(found):  # a verdict that is none is counted nowhere
        return ""
    told = [(word, count) for word, count in zip(VERDICTS, found, strict=True) if count]
    word, count = told[0]
    return word if len(told) == 1 else f"{word} {count}/{sum(found)}"


def _fewest(rows: list[_Row], axes: Sequence[int]) -> list[_Row]:
    """``rows`` with those that differ on one axis alone put together, until none do."""
    before = None
    while before != len(rows):
        before = len(rows)
        for axis in axes:
            alike: dict[tuple[object, ...], list[_Row]] = {}
            for row in rows:
                others = row.values[:axis] + row.values[axis + 1 :]
                alike.setdefault((row.optimizers, others, row.cells), []).append(row)
            rows = [_one(group) for group in alike.values()]
    return rows


def _one(rows: list[_Row]) -> _Row:
    """The row that stands for all of ``rows``, which have the same cells."""
    return _Row(
        optimizers=frozenset().union(*(row.optimizers for row in rows)),
        values=tuple(
            frozenset().union(*sets) for sets in zip(*(r.values for r in rows), strict=True)
        ),
        cells=rows[0].cells,
        counts=tuple(map(sum, zip(*(row.counts for row in rows), strict=True))),
    )


def _with_any(row: _Row, seen: list[set[str | float | None]]) -> _Row:
    """``row`` with a mark in each axis that has all values ``seen`` of its optimizer."""
    pairs = zip(row.values, seen, strict=True)
    marked = tuple(values | _EVERY if values == all_ else values for values, all_ in pairs)
    return _Row(row.optimizers, marked, row.cells, row.counts)


def _told(row: _Row) -> dict[str, str | int | None]:
    """The row as the table has it."""
    of = dict(zip(VERDICTS, row.counts, strict=True))
    return {
        "optimizers": ", ".join(in_order("optimizer", row.optimizers)),
        **{axis: _text(axis, values) for axis, values in zip(BESIDE, row.values, strict=True)},
        **{word: cell or None for word, cell in zip(CLEARINGS, row.cells, strict=True)},
        "trials": of["leaks"] + of["holds"],
        **{name: of[name] for name in ("leaks", "inert", "failed")},
    }


def _text(axis: str, values: _Values) -> str | None:
    """The values in words; ``any`` where there are several and the mark says that it is all."""
    known = [value for value in values if value not in (None, ANY)]
    if ANY in values and len(values) > 2:
        return ANY
    numbers = sorted(value for value in known if isinstance(value, float))
    words = in_order(axis, [value for value in known if isinstance(value, str)])
    texts = [f"{number:.6g}" for number in numbers] + words
    if texts and None in values:
        texts.append("null")
    return ", ".join(texts) or None


def _reading_order(row: _Row) -> tuple[object, ...]:
    """Most optimizers first, then by name, then by the axes from the last to the first."""
    names = in_order("optimizer", row.optimizers)
    texts = [_text(axis, values) or "" for axis, values in zip(BESIDE, row.values, strict=True)]
    return -len(names), names, texts[::-1]
