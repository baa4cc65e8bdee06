"""What every command prints with: messages to stderr, tables and prose to stdout.

Text that comes from a database or a file is made harmless here: no escape code reaches
the terminal.
"""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import typer

UNLIMITED_WIDTH = 100_000
UNKNOWN_WIDTH = 80  # of a terminal that does not say
LONGEST_CELL = 10_000  # a cell of megabytes would take a minute to lay out
PROSE_WIDTH = 88
"""The longest lines of prose: people read them more easily than those of a whole screen."""
LEAST_WIDTH = 40
"""What is narrower is written as if it were not."""
TELLS_AFTER_S = 1.0

_VISIBLE_CONTROLS = {
    code: f"\\x{code:02x}"
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if code not in (0x09, 0x0A)
}


def say(message: str) -> None:
    """Prints ``message`` for a person, on stderr; on a terminal in lines that fit it."""
    text = harmless(message)
    if sys.stderr.isatty():
        width = _width(sys.stderr) or PROSE_WIDTH
        text = "\n".join(_filled(line, width) for line in text.split("\n"))
    print(text, file=sys.stderr)  # noqa: T201 here alone


@contextmanager
def telling(message: str) -> Iterator[None]:
    """Says ``message``, what a person waits for, if its body takes longer than a moment."""
    timer = threading.Timer(TELLS_AFTER_S, say, [message])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def harmless(text: str) -> str:
    r"""``text`` with control characters written out, save for tab and newline.

    >>> harmless("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return text.translate(_VISIBLE_CONTROLS)


def print_paragraph(text: str) -> None:
    """Prints prose on stdout, in lines that fit the terminal and that people read easily."""
    width = min(_width(sys.stdout) or PROSE_WIDTH, PROSE_WIDTH)
    sys.stdout.write(f"{_filled(harmless(text), width)}\n")


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    numeric: frozenset[int] = frozenset(),
) -> None:
    """Prints a table on stdout: within a terminal's width or ``COLUMNS``, else a row a line.

    What is too wide for that is printed a record at a time. ``numeric`` has the indices of
    the columns to align to the right.
    """
    from rich.console import Console

    from sweep.cli.layout import RULE, folded, table_lines

    width = _width(sys.stdout) or UNLIMITED_WIDTH
    has_styles = Console().color_system is not None
    cells = [tuple(harmless(_cut(cell)) for cell in row) for row in rows]
    if title:
        lines = "\n".join(folded(harmless(title), width))
        sys.stdout.write(f"\n{typer.style(lines, bold=True) if has_styles else lines}\n")
    for line in table_lines(tuple(map(harmless, columns)), cells, numeric, width):
        shown = typer.style(line, dim=True) if has_styles and line.startswith(RULE) else line
        sys.stdout.write(f"{shown.rstrip()}\n")


def _width(stream: TextIO) -> int | None:
    """How wide people see what is written there; None where nobody has said."""
    stated = os.environ.get("COLUMNS", "")
    if stated.isdecimal():
        return max(int(stated), LEAST_WIDTH)
    if not stream.isatty():
        return None
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, LEAST_WIDTH)
    except (OSError, ValueError):
        return UNKNOWN_WIDTH


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width, break_on_hyphens=False, break_long_words=False)


def _cut(cell: str) -> str:
    """``cell``, or its beginning and its length where it is longer than a person reads."""
    if len(cell) <= LONGEST_CELL:
        return cell
    return f"{cell[:LONGEST_CELL]}... ({len(cell):,} characters)"
