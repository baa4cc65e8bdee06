"""How a table lies on a terminal: a line a row where that fits, else a record at a time.

A number is never cut or broken, whatever the width, and no word is: they are what people came
for. Prose is folded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

LEAST_PROSE = 24
"""So narrow a column of prose is folded before the rows become records."""
GAP = 3
RULE = "─"
_CONSOLE = Console()  # which wrapping asks for, and does not use


def table_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Collection[int], width: int
) -> Iterator[str]:
    """The lines of a table within ``width``: one a row, with prose folded where it needs to be.

    Where that is not enough, a block a row under a rule. Where there is no row, heads that do
    not fit beside each other are a list. ``numeric`` columns are aligned to the right.
    """
    by_column = enumerate(zip(columns, *rows, strict=True))
    bounds = [_bounds(cells, index in numeric) for index, cells in by_column]
    least, most = (sum(each) + GAP * (len(columns) - 1) for each in zip(*bounds, strict=True))
    if least <= width:
        part = min(1.0, (width - least) / max(1, most - least))
        widths = [low + int(part * (high - low)) for low, high in bounds]
        yield from _aligned(columns, widths, numeric)
        yield RULE * (sum(widths) + GAP * (len(widths) - 1))
        for row in rows:
            yield from _aligned(row, widths, numeric)
    elif rows:
        yield from _records(columns, rows, numeric, width)
    else:
        yield from folded(", ".join(columns), width)


def folded(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width``, broken between words where there are any."""
    if "\n" not in text and cell_len(text) <= width:
        return [text.rstrip()]
    lines = Text(text).wrap(_CONSOLE, width, overflow="fold")
    return [line.plain.rstrip() for line in lines]


def _bounds(cells: Sequence[str], is_numeric: bool) -> tuple[int, int]:
    """The width below which a column would be cut, and its own: more where prose can fold."""
    whole = max(map(_width, cells))
    if is_numeric or not any(" " in cell for cell in cells[1:]):
        return whole, whole
    words = (cell_len(word) for cell in cells for word in cell.split())
    return min(whole, max(LEAST_PROSE, *words)), whole


def _width(cell: str) -> int:
    return max(map(cell_len, cell.split("\n")))


def _records(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Collection[int], width: int
) -> Iterator[str]:
    """A line a column with its name and value; a name that has no room stands above."""
    numbers = max((_width(row[index]) for row in rows for index in numeric), default=0)
    names = max(map(cell_len, columns))
    values = width - names - 2
    for number, row in enumerate(rows, start=1):
        yield f"{RULE * 2} {number} ".ljust(width, RULE)
        for index, (name, cell) in enumerate(zip(columns, row, strict=True)):
            if values >= max(numbers, LEAST_PROSE // 2):
                value = cell.rjust(numbers) if index in numeric else cell
                yield from _aligned((name, value), (names, values), (), gap=2)
            else:
                yield from (*folded(name, width), *folded(f"  {cell}", width))


def _aligned(
    row: Sequence[str], widths: Sequence[int], numeric: Collection[int], gap: int = GAP
) -> Iterator[str]:
    """The cells side by side, in as many lines as the longest takes when it is folded."""
    for texts in zip_longest(*map(folded, row, widths), fillvalue=""):
        padded = []
        for index, (text, width) in enumerate(zip(texts, widths, strict=True)):
            space = " " * (width - cell_len(text))
            padded.append(space + text if index in numeric else text + space)
        yield (" " * gap).join(padded)
