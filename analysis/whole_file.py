"""Files that are whole or absent: whoever reads one sees the old one or the new, never a half."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The path of a file to write, beside ``path``, which takes its place in one step.

    Where writing raises, ``path`` is as it was and nothing is left behind. The name of what is
    being written is short, as a system takes no name longer than the longest that it has.
    """
    unfinished = path.with_name(f".{uuid.uuid4().hex[:12]}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
