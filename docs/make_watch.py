"""Writes into docs/watch.md what its examples print.

    python docs/make_watch.py

An example that prints something for the page stands between ``<!-- NAME-example -->`` and
``<!-- /NAME-example -->``; what it prints stands between ``<!-- NAME-prints -->`` and
``<!-- /NAME-prints -->``. How far parameters moved differs from machine to machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent / "watch.md"


def example(page: str, name: str) -> str:
    """The code of the example of that name. Raises ValueError where the page has none."""
    found = re.search(rf"<!-- {name}-example -->\n```python\n(.*?)```", page, re.DOTALL)
    if found is None:
        raise ValueError(f"{PAGE.name} needs the line '<!-- {name}-example -->' above its code.")
    return found[1]


def printed(page: str, name: str) -> str:
    """What the page says that it prints. Raises ValueError where the page has no such block."""
    return _block(page, name)[1]


def printing(page: str) -> list[str]:
    """The names of the examples that print something for the page, in order."""
    return re.findall(r"<!-- ([\w-]+)-prints -->", page)


def run(code: str) -> str:
    """What the code prints, in a process of its own. Raises CalledProcessError if it fails."""
    command = [sys.executable, "-W", "error", "-c", code]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return ended.stdout


def made(page: str) -> str:
    """The page with what its examples print today."""
    for name in printing(page):
        begin, end = _block(page, name).span(1)
        page = page[:begin] + run(example(page, name)) + page[end:]
    return page


def _block(page: str, name: str) -> re.Match[str]:
    marked = rf"<!-- {name}-prints -->\n```text\n(.*?)```\n<!-- /{name}-prints -->"
    found = re.search(marked, page, re.DOTALL)
    if found is None:
        raise ValueError(f"{PAGE.name} needs what {name} prints between its markers.")
    return found


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
