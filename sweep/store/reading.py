"""Rows of our tables out of a database of anybody's making, with every value checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sweep.store.checked import checked
from sweep.store.models import Base
from sweep.store.query import run_query
from sweep.store.url import parse_url


def checked_rows(
    url: str,
    model: type[Base],
    columns: Sequence[str] = (),
    *,
    where: str = "true",
    order: str = "1, 2",
) -> Iterator[dict[str, Any]]:
    """The rows of a table by the names of their ``columns``, or of all of them.

    Flags are booleans and times in UTC, whichever database has them. Reads only. Raises
    DatabaseError for a value that this program does not write there, and as `run_query` does.
    """
    table, shown = Base.metadata.tables[model.__tablename__], parse_url(url).shown
    chosen = [table.columns[name] for name in columns or table.columns.keys()]
    # Qualified, as PostgreSQL has a word `freeze`.
    names = ", ".join(f"{table.name}.{column.name}" for column in chosen)
    query = f"SELECT {names} FROM {table.name} WHERE {where} ORDER BY {order}"  # noqa: S608
    kinds = [(c.name, c.type.python_type, bool(c.nullable)) for c in chosen]
    with run_query(url, query) as found:
        for values in found:
            yield {
                name: checked(value, kind, f"{table.name}.{name}", nullable=nullable, shown=shown)
                for (name, kind, nullable), value in zip(kinds, values, strict=True)
            }
