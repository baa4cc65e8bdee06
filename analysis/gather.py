"""Rows out of a cursor, as typed columns: words become codes, numbers arrays, block by block.

Owns what a column of each `analysis.schema.Kind` is made of. Knows no SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.extensions import ExtensionArray

from analysis.schema import COLUMNS, COUNT, LISTED, Kind, in_order

_KINDS = {**COLUMNS, COUNT: Kind.INT, **dict.fromkeys(LISTED.values(), Kind.TEXT)}


def gathered(
    names: Sequence[str], blocks: Iterable[Sequence[tuple[Any, ...]]], sweeps: Mapping[int, str]
) -> pd.DataFrame:
    """The rows of ``blocks`` as columns ``names``, of their kinds in `COLUMNS`, counts and lists.

    A value of ``sweep`` is the key of its name in ``sweeps``.
    """
    gatherers = [_GATHERERS[_KINDS[name]](name) for name in names]
    for block in blocks:
        for gatherer, values in zip(gatherers, zip(*block, strict=True), strict=True):
            if gatherer.name == "sweep":
                values = tuple(map(sweeps.__getitem__, values))
            gatherer.add(values)
    return pd.DataFrame({g.name: g.finished() for g in gatherers}, copy=False)


class _Words:
    """Gathers a column of words as the codes of a category."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._codes: dict[str | None, int] = {None: -1}
        self._blocks: list[npt.NDArray[np.int32]] = [np.empty(0, np.int32)]

    def add(self, values: Sequence[str | None]) -> None:
        for word in set(values) - self._codes.keys():
            self._codes[word] = len(self._codes) - 1
        codes = map(self._codes.__getitem__, values)
        self._blocks.append(np.fromiter(codes, np.int32, len(values)))

    def finished(self) -> ExtensionArray:
        words = [word for word in self._codes if word is not None]
        ordered = in_order(self.name, words)
        place = {word: rank for rank, word in enumerate(ordered)}
        rank_of_code = np.array([place[word] for word in words] + [-1], np.int32)
        codes = rank_of_code[np.concatenate(self._blocks)]
        return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(ordered))


class _Numbers:
    """Gathers a column of numbers or flags as floats, NaN for null."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._blocks: list[npt.NDArray[np.float64]] = [np.empty(0)]

    def add(self, values: Sequence[float | None]) -> None:
        self._blocks.append(np.array(values, np.float64))

    def finished(self) -> pd.Series:
        numbers = pd.Series(np.concatenate(self._blocks))
        return numbers.astype(COLUMNS[self.name].value)


class _Integers:
    """Gathers a column of integers exactly, whatever their size up to 64 bits."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._blocks: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._nulls: list[npt.NDArray[np.bool_]] = [np.empty(0, np.bool_)]

    def add(self, values: Sequence[int | None]) -> None:
        nulls = np.zeros(len(values), np.bool_)
        if None in values:
            nulls = np.array([value is None for value in values])
            values = [0 if value is None else value for value in values]
        self._blocks.append(np.array(values, np.int64))
        self._nulls.append(nulls)

    def finished(self) -> ExtensionArray:
        return pd.arrays.IntegerArray(np.concatenate(self._blocks), np.concatenate(self._nulls))


class _Objects:
    """Gathers text and times value by value."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._values: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        self._values.extend(values)

    def finished(self) -> pd.Series:
        kind = _KINDS[self.name]
        values: pd.Series = pd.Series(self._values, dtype=object)
        if kind is Kind.TIME:
            values = pd.to_datetime(values, utc=True, format="ISO8601")
        typed: pd.Series = values.astype(kind.value)
        return typed


_Gatherer = _Words | _Numbers | _Integers | _Objects
_GATHERERS: dict[Kind, type[_Gatherer]] = {
    Kind.WORD: _Words,
    Kind.REAL: _Numbers,
    Kind.FLAG: _Numbers,
    Kind.INT: _Integers,
    Kind.TEXT: _Objects,
    Kind.TIME: _Objects,
}
