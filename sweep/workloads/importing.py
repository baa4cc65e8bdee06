"""Where ``package.module:name`` is looked for, beside what is installed."""

from __future__ import annotations

import os
import sys


def look_in_current_directory() -> None:
    """Puts it on the path, last: a file there with the name of a module of Python's is not it."""
    here = os.getcwd()
    if "" not in sys.path and here not in sys.path:
        sys.path.append(here)
