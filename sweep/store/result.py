"""What a query comes back with, whichever database answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from sweep.errors import QueryRefusedError

FETCH = 2000
"""Rows held at a time."""


class QueryResult:
    """The rows of a query, fetched as they are read; a context manager that lets go of them.

    Iterating raises QueryRefusedError where the database gives up half way.

    Attributes:
        columns: the names of the columns, in order; they may repeat.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        rows: Iterator[tuple[Any, ...]],
        close: Callable[[], None],
    ) -> None:
        self.columns = columns
        self._rows = rows
        self._close = close

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the query and its connection; rows not read yet are gone."""
        self._close()


def refused(words: str) -> QueryRefusedError:
    """The exception for a query that the database would not run, in its own words."""
    return QueryRefusedError(
        f"The database refused the query: {words}. One statement is taken, and it can only read."
    )


def timed_out(timeout_s: float) -> QueryRefusedError:
    """The exception for a query that was still running after ``timeout_s`` seconds."""
    return QueryRefusedError(f"The query was stopped: it ran for more than {timeout_s:g} seconds.")
