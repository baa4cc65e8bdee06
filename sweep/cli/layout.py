"""How a table lies on a terminal: a line a row where that fits, else a record at a time.

A number is never cut or broken, whatever the width, and no word is: they are what people came
for. Prose is folded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

LEAST_PROSE = 24
"""So narrow a column of prose is folded before the rows become records."""
GAP = 3
"""What rich puts between two columns."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of texts that rich draws in a line a row or, where it is too wide, in records.

    Where there is no row, the heads that do not fit beside each other are a list.

    Attributes:
        columns: the heads.
        rows: the cells, as many in each as there are columns.
        numeric: the indices of the columns that are aligned to the right.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = [self._width(index) for index in range(len(self.columns))]
        if sum(widths) + GAP * (len(widths) - 1) <= options.max_width and not self._has_breaks():
            yield Text(self._aligned(widths), no_wrap=True, overflow="ignore")
            return
        least = [self._least(index) for index in range(len(self.columns))]
        if sum(least) + GAP * (len(least) - 1) <= options.max_width:
            yield self._lines(least)
        elif not self.rows:
            yield Text(", ".join(self.columns))
        else:
            yield from self._records(options.max_width)

    def _has_breaks(self) -> bool:
        return any("\n" in cell for row in (self.columns, *self.rows) for cell in row)

    def _aligned(self, widths: Sequence[int]) -> str:
        """Each row in one line, as rich would draw it: it takes a millisecond a row for that."""
        lines = [self._line(row, widths) for row in (self.columns, *self.rows)]
        return "\n".join([lines[0], "─" * (sum(widths) + GAP * (len(widths) - 1)), *lines[1:]])

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        row = [cell.rstrip() for cell in row]
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        padded = [
            gap + cell if index in self.numeric else cell + gap
            for index, (cell, gap) in enumerate(zip(row, gaps, strict=True))
        ]
        return (" " * GAP).join(padded)

    def _lines(self, least: Sequence[int]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for index, column in enumerate(self.columns):
            table.add_column(
                Text(column),
                justify="right" if index in self.numeric else "left",
                no_wrap=least[index] == self._width(index),
                min_width=least[index],
            )
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def _records(self, width: int) -> RenderResult:
        """A block a row: a line a column with its name and value, numbers aligned to the right."""
        numbers = max((self._width(index, head=False) for index in self.numeric), default=0)
        names = max(map(cell_len, self.columns))
        beside = names + 2 + max(numbers, LEAST_PROSE // 2) <= width
        for number, row in enumerate(self.rows, start=1):
            yield Text(f"── {number} ".ljust(width, "─"), style="dim")
            block = Table.grid(padding=(0, 2, 0, 0))
            for index, (name, cell) in enumerate(zip(self.columns, row, strict=True)):
                value = cell.rjust(numbers) if index in self.numeric else cell
                for line in [(name, value)] if beside else [(name,), (f"  {cell}",)]:
                    block.add_row(*map(Text, line))
            for column in block.columns:
                column.overflow = "fold"
            block.columns[0].no_wrap = beside
            yield block

    def _least(self, index: int) -> int:
        """The width below which the column would be cut: its own, or less where prose folds."""
        width = self._width(index)
        cells = [row[index] for row in self.rows]
        if index in self.numeric or not any(" " in cell for cell in cells):
            return width
        words = [word for cell in (self.columns[index], *cells) for word in cell.split()]
        return min(width, max(LEAST_PROSE, *map(cell_len, words)))

    def _width(self, index: int, *, head: bool = True) -> int:
        cells = [row[index] for row in self.rows] + [self.columns[index]] * head
        return max((cell_len(line) for cell in cells for line in cell.split("\n")), default=0)
