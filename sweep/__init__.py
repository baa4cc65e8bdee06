"""How results are made: grid, trial, probe, driver, store, command line.

What a program of one's own imports is in `leaksweep`. ``from sweep import watch`` and
``Workload`` are the same; both are imported when asked for and bring torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.watching import watch
    from sweep.workloads.workload import Workload

__all__ = ["Workload", "watch"]


def __getattr__(name: str) -> Any:
    """The public name ``name``, imported now. Raises AttributeError for any other."""
    if name == "watch":
        from sweep.watching import watch

        return watch
    if name == "Workload":
        from sweep.workloads.workload import Workload

        return Workload
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
