"""The front door: what a program, a notebook or a test of one's own imports.

    from leaksweep import watch           # the detector in a training loop of one's own
    from leaksweep import run, load       # a sweep run from Python; one that is recorded
    from leaksweep import Workload        # what a workload of one's own returns

Each name is imported when it is asked for. ``import leaksweep`` alone imports nothing else, as
it happens in every process whose pytest finds the plugin. The packages behind the door are
called `sweep` and `analysis`, as files of other people's are: `leaksweep.own` keeps them apart.
"""

TYPE_CHECKING = False  # typing's own would be an import
if TYPE_CHECKING:
    from typing import Any

    from leaksweep.results import Results, load, run
    from sweep.errors import LeakError, LeaksweepError
    from sweep.watching import watch
    from sweep.workloads.workload import Workload

__all__ = ["LeakError", "LeaksweepError", "Results", "Workload", "load", "run", "watch"]

_HOMES = {
    "LeakError": "sweep.errors",
    "LeaksweepError": "sweep.errors",
    "Results": "leaksweep.results",
    "Workload": "sweep.workloads.workload",
    "load": "leaksweep.results",
    "run": "leaksweep.results",
    "watch": "sweep.watching",
}


def __getattr__(name: str) -> "Any":
    """The public name ``name``, imported now. Raises AttributeError for any other."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from leaksweep.own import own

    return getattr(own(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
