"""What the database holds, in words: the tables and views with their columns' meanings."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column

from sweep.store.models import TABLES, Base
from sweep.store.views import COMPUTED, VIEWS, View


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """A column: its name, its type as SQL writes it, whether it may be null, its meaning."""

    name: str
    type: str
    nullable: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class TableDescription:
    """A table or a view, what a row of it is, and its columns in order."""

    name: str
    is_view: bool
    meaning: str
    columns: tuple[ColumnDescription, ...]


def describe_schema() -> tuple[TableDescription, ...]:
    """Every table and then every view, in the order in which a reader needs them."""
    return (*(_table(model) for model in TABLES), *(_view(view) for view in VIEWS))


def _table(model: type[Base]) -> TableDescription:
    columns = tuple(map(_column, Base.metadata.tables[model.__tablename__].columns))
    return TableDescription(model.__tablename__, False, inspect.getdoc(model) or "", columns)


def _column(column: Column[Any]) -> ColumnDescription:
    return ColumnDescription(column.name, str(column.type), bool(column.nullable), column.doc or "")


def _view(view: View) -> TableDescription:
    """Columns that the view computes, and those of `trial` that it passes on."""
    columns = tuple(
        ColumnDescription(name, COMPUTED[name][0], name == "leak_rate", COMPUTED[name][1])
        if name in COMPUTED
        else _column(Base.metadata.tables["trial"].columns[name])
        for name in view.columns
    )
    return TableDescription(view.name, True, view.meaning, columns)
