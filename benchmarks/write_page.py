"""A benchmark's table, and its place in benchmarks/README.md.

The page has a pair of markers for each table, ``<!-- name -->`` and ``<!-- /name -->``. What
is between them is made by a benchmark and named after it; the words around are written by hand.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PAGE = Path(__file__).parent / "README.md"
CPU_INFO = Path("/proc/cpuinfo")
OS_RELEASE = Path("/etc/os-release")


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column as words, the others as numbers, to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_table(name: str, table: str) -> None:
    """Writes ``table`` between the page's markers ``name``, with the machine and the day below.

    Raises ValueError if the page has no such markers.
    """
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replaced(page, name, f"{table}\n\n{machine()}"), encoding="utf-8")


def replaced(page: str, name: str, made: str) -> str:
    """``page`` with ``made`` between the markers ``name``. Raises ValueError if it has none."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, has_begin, rest = page.partition(begin)
    _, has_end, tail = rest.partition(end)
    if not (has_begin and has_end):
        raise ValueError(f"{PAGE.name} needs the lines {begin!r} and {end!r}, in this order.")
    return f"{head}{begin}\n\n{made}\n\n{end}{tail}"


def machine() -> str:
    """What it was measured on, in a line: CPU, cores, memory, system, Python, torch, the day."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = (
        _value(CPU_INFO, "model name", ":") or platform.machine(),
        f"{os.cpu_count()} cores",
        f"{gib:.0f} GiB",
        _value(OS_RELEASE, "PRETTY_NAME", "=") or platform.system(),
        f"Python {platform.python_version()}",
        f"torch {version('torch')}",
        f"{datetime.now(UTC):%Y-%m-%d}",
    )
    return f"Measured on {', '.join(parts)}."


def _value(path: Path, key: str, separator: str) -> str | None:
    """What the first line of ``path`` that begins with ``key`` says, if there is one."""
    if not path.exists():
        return None
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(separator)
        if name.strip() == key:
            return value.strip().strip('"')
    return None
