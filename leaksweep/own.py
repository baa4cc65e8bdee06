"""Finds this program's own packages where somebody else's file has one of their names.

Many projects have a ``sweep.py`` (W&B's sweeps made it a habit) or an ``analysis.py``, and
Python knows one module of a name. Where theirs stands first on the path, or is imported
already, ours are imported under names of their own by `leaksweep.apart`, and both work.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from os.path import realpath
from pathlib import Path
from types import ModuleType

PACKAGES = ("sweep", "analysis")
ROOT = Path(realpath(__file__)).parents[1]
"""The folder that holds this package, and beside it the others."""


def own(name: str) -> ModuleType:
    """Our module of that name, such as ``sweep.watching``, imported now.

    Whether somebody else has its package's name is found out once a process, at the first call.
    """
    if _others_stand_first():
        from leaksweep import apart

        name = apart.renamed(name)
    return import_module(name)


@cache
def _others_stand_first() -> bool:
    return not all(map(_is_ours, PACKAGES))


def _is_ours(package: str) -> bool:
    """Whether ``import package`` gives, or would give, the one beside this package."""
    spec = _spec(package)
    there = None if spec is None else spec.origin
    return there is not None and realpath(there) == str(ROOT / package / "__init__.py")


def _spec(package: str) -> ModuleSpec | None:
    imported = sys.modules.get(package)
    if imported is not None:  # by a test or a notebook it may have been made by hand
        return getattr(imported, "__spec__", None)
    return find_spec(package)
