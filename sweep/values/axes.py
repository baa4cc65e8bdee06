"""What is said of an axis, in one row: the row is a field of `sweep.values.setting.Setting`.

A spec, ``--set``, columns, views, messages and `leaksweep show axes` read it, by `AXIS_FACTS`
there. Its type is the field's: None among its values says that it can be without one.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_type_hints

from sweep.values.words import Axis


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisFacts:
    """One axis.

    Attributes:
        axis: its word, which is also its column and its key in a grid.
        kind: the type of its values: str, int, float, or the words of a closed set.
        nullable: whether it may be null, which it is where it cannot apply.
        values: what may be one, in words.
        called: the same in one or two, for messages, where it is shorter.
        meaning: what it is.
        default: what a grid has that does not say; None for the optimizer's own value.
        example: how a grid would say it, as TOML.
    """

    axis: Axis
    kind: type[str | int | float]
    nullable: bool
    values: str
    called: str = ""
    meaning: str
    default: tuple[Any, ...] | None = None
    example: str

    @property
    def words(self) -> tuple[str, ...]:
        """Its values, where they are a closed set."""
        return tuple(self.kind) if issubclass(self.kind, StrEnum) else ()

    @property
    def default_in_words(self) -> str:
        """What it is where a grid does not say, for people."""
        if self.default is None:
            return "the optimizer's own"
        return ", ".join(map(str, self.default)) or "(needed)"

    @property
    def wanted(self) -> str:
        """What a grid needs it to be, for messages: ``numbers >= 0, such as lr = [1.0]``."""
        return f"{self.called or self.values}, such as {self.axis} = {self.example}"

    def parsed(self, text: str) -> Any:
        """``text`` as one of its values; as it is, for a check to refuse, where it is none."""
        try:
            return self.kind(text)
        except ValueError:
            return text


def row(*, without: Any = MISSING, **said: Any) -> Any:
    """The row of an axis, as a dataclass's field: what is ``said`` of it, by `AxisFacts`.

    ``without`` is what a setting has by itself.
    """
    return field(default=without, metadata=said)


def facts_of(rows: type) -> tuple[AxisFacts, ...]:
    """The facts in the `row`s of a dataclass, in their order."""
    facts, hints = [], get_type_hints(rows)
    for each in fields(rows):
        kinds = get_args(hints[each.name]) or (hints[each.name],)
        (kind,) = {*kinds} - {NoneType}
        nullable = NoneType in kinds
        facts.append(AxisFacts(axis=Axis(each.name), kind=kind, nullable=nullable, **each.metadata))
    return tuple(facts)
