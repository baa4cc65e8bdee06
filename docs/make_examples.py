"""Writes into the pages of docs/ and the README what their Python examples print.

    python docs/make_examples.py

An example stands between ``<!-- NAME-example -->`` and ``<!-- /NAME-example -->``; what it
prints, where the page shows it, between ``<!-- NAME-prints -->`` and ``<!-- /NAME-prints -->``.
How far parameters moved differs from machine to machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
PAGES = (DOCS.parent / "README.md", DOCS / "watch.md", DOCS / "python.md")
"""The pages whose Python examples are all run as they stand."""


def examples(page: str) -> list[str]:
    """The names of the page's examples, in order."""
    return re.findall(r"<!-- ([\w-]+)-example -->", page)


def example(page: str, name: str) -> str:
    """The code of the example of that name. Raises ValueError where the page has none."""
    found = re.search(rf"<!-- {name}-example -->\n```python\n(.*?)```", page, re.DOTALL)
    if found is None:
        raise ValueError(f"The page needs the line '<!-- {name}-example -->' above its code.")
    return found[1]


def printed(page: str, name: str) -> str:
    """What the page says that it prints. Raises ValueError where the page has no such block."""
    return _block(page, name)[1]


def printing(page: str) -> list[str]:
    """The names of the examples that print something for the page, in order."""
    return re.findall(r"<!-- ([\w-]+)-prints -->", page)


def run(code: str, folder: str | Path | None = None) -> str:
    """What the code prints, in a process of its own and in ``folder``, or an empty one.

    Raises CalledProcessError if it fails.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as empty:
            return run(code, empty)
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(  # noqa: S603
        command, check=True, capture_output=True, text=True, cwd=folder
    ).stdout


def made(page: str) -> str:
    """The page with what its examples print today; they share a folder."""
    with tempfile.TemporaryDirectory() as folder:
        for name in printing(page):
            begin, end = _block(page, name).span(1)
            page = page[:begin] + run(example(page, name), folder) + page[end:]
    return page


def _block(page: str, name: str) -> re.Match[str]:
    marked = rf"<!-- {name}-prints -->\n```text\n(.*?)```\n<!-- /{name}-prints -->"
    found = re.search(marked, page, re.DOTALL)
    if found is None:
        raise ValueError(f"The page needs what {name} prints between its markers.")
    return found


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(made(path.read_text(encoding="utf-8")), encoding="utf-8")
