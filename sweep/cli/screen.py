"""What every command prints with: messages to stderr, tables to stdout.

Text that comes from a database or a file is made harmless here: no escape code reaches
the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

UNLIMITED_WIDTH = 100_000
LONGEST_CELL = 10_000  # a cell of megabytes would take a minute to lay out

_VISIBLE_CONTROLS = {
    code: f"\\x{code:02x}"
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if code not in (0x09, 0x0A)
}


def say(message: str) -> None:
    """Prints ``message`` for a person, on stderr."""
    print(harmless(message), file=sys.stderr)  # noqa: T201


def harmless(text: str) -> str:
    r"""``text`` with control characters written out, save for tab and newline.

    >>> harmless("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return text.translate(_VISIBLE_CONTROLS)


def on_one_line(text: str) -> str:
    r"""``text`` with its lines joined, as an error is one message whatever it quotes.

    >>> on_one_line("No sweep 'two\nlines'.")
    "No sweep 'two lines'."
    """
    return " ".join(text.split("\n"))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    numeric: frozenset[int] = frozenset(),
) -> None:
    """Prints a table on stdout: folded to a terminal's width, else each row on one line.

    ``numeric`` has the indices of the columns to align to the right.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=UNLIMITED_WIDTH)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(Text(harmless(column)), justify="right" if index in numeric else "left")
    for row in rows:
        table.add_row(*(Text(harmless(_cut(cell))) for cell in row))
    with console.capture() as printed:  # rich would end the process where nobody reads on
        if title:
            console.print(Text(f"\n{harmless(title)}", style="bold"))
        console.print(table)
    sys.stdout.write(printed.get())


def _cut(cell: str) -> str:
    """``cell``, or its beginning and its length where it is longer than a person reads."""
    if len(cell) <= LONGEST_CELL:
        return cell
    return f"{cell[:LONGEST_CELL]}... ({len(cell):,} characters)"
