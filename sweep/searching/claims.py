"""A searched sweep in the database: a sweep whose spec says how it was searched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sweep.errors import MisuseError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.store.store import RecordedSweep, Store
from sweep.values.setting import canonical_json

KIND = "search"
"""The ``kind`` of a searched sweep's spec."""


def claim_search(store: Store, grid: Spec, how: Mapping[str, Any]) -> RecordedSweep:
    """The searched sweep of the grid's name, recorded with no trial planned if it is new.

    ``how`` says how the grid is searched. Raises MisuseError for a sweep of that name that is no
    search, or another one.
    """
    spec = canonical_json(json.loads(Grid(grid).canonical()) | {"kind": KIND, KIND: how})
    recorded = store.sweep(grid.name)
    if recorded is None:
        return store.record_sweep(grid.name, spec, 0)
    if recorded.spec != spec:
        raise MisuseError(
            f"The database has a sweep named {grid.name!r} that is not this search: "
            f"{_difference(recorded.spec, json.loads(spec))}. Give this one a name of its own with "
            f"--name, or use another --db."
        )
    return recorded


def _difference(recorded: str, ours: dict[str, Any]) -> str:
    """The first thing in which two specs differ, as a phrase; the recorded one may be anything."""
    try:
        theirs = json.loads(recorded)
        if theirs.get("kind") != KIND:
            return "it is no search, and a search is a sweep of its own"
        for name in ("workload", "steps"):
            if theirs[name] != ours[name]:
                return f"its {name} is {theirs[name]}, not {ours[name]}"
        for name, value in ours[KIND].items():
            if theirs[KIND].get(name) != value:
                return f"its {name} is {_shown(theirs[KIND].get(name))}, not {_shown(value)}"
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return "its spec is none that this program writes"
    return "its spec has other values or options"


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
