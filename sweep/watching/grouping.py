"""Many parameters told as a few: those of one module, and of modules that repeat, are one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from sweep.watching.account import Entry

MOST = 8
"""Lines, or names in a line, up to which each parameter is told by itself."""


@dataclass(frozen=True, slots=True)
class NamedTogether:
    """Some rows of the account under one name.

    Attributes:
        name: the parameter's, or one in which ``*`` stands for numbers, or for all of a module.
        entries: the rows.
        matching: how many of the rows at hand have names like that.
    """

    name: str
    entries: tuple[Entry, ...]
    matching: int

    @property
    def label(self) -> str:
        """The name, with how many parameters it stands for."""
        number = len(self.entries)
        if number == 1:
            return self.name
        share = f"{number} of {self.matching}" if number < self.matching else f"{number}"
        return f"{self.name}: {share} parameters"


def by_likeness(
    entries: Sequence[Entry],
    among: Iterable[Entry],
    *,
    by: Callable[[Entry], Hashable] = lambda _: None,
) -> list[NamedTogether]:
    """The entries as at most `MOST` groups of like names, where that is possible.

    Those of one group agree in ``by``. ``among`` is everything that a name with ``*`` could
    mean. In the order of the first of each.
    """
    deepest = max((entry.parameter.count(".") for entry in entries), default=0)
    levels = [partial(_module, depth=depth) for depth in range(deepest, 0, -1)]
    shapes: list[Callable[[str], str]] = [str, _numberless, *levels]
    for shape in shapes:
        found: dict[tuple[str, Hashable], list[Entry]] = {}
        for entry in entries:
            found.setdefault((shape(entry.parameter), by(entry)), []).append(entry)
        if len(found) <= MOST:
            break
    matching = Counter(map(shape, {entry.parameter for entry in among}))
    return [
        NamedTogether(
            name if len(held) > 1 else held[0].parameter, tuple(held), matching[name] or len(held)
        )
        for (name, _), held in found.items()
    ]


def _numberless(name: str) -> str:
    """The name with ``*`` for each number in it.

    >>> _numberless("blocks.3.attn.q.weight")
    'blocks.*.attn.q.weight'
    """
    return ".".join("*" if piece.isdigit() else piece for piece in name.split("."))


def _module(name: str, depth: int) -> str:
    """The module that has the parameter, at most so many levels down, numbers as ``*``.

    >>> _module("blocks.3.attn.q.weight", depth=9)
    'blocks.*.attn.q'
    >>> _module("blocks.3.attn.q.weight", depth=2)
    'blocks.*'
    """
    pieces = _numberless(name).split(".")
    return ".".join(pieces[: min(depth, len(pieces) - 1)]) or "".join(pieces)
