"""How a worker process stands to the driver: it ends with it, and leaves it its terminal."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

ORPHANED_AT_MOST_S = 1.0
"""How long a worker may outlive a driver that was killed."""
_QUIET = "ignore:resource_tracker:UserWarning"


def follow(driver: int) -> None:
    """Leaves it to the process ``driver`` to be interrupted, and ends soon after it does.

    Ctrl-C reaches every process of a terminal, and SIGTERM every one of a service. What a
    trial prints goes to stderr, the driver's stdout being for data; what it asks, it asks
    nobody.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()


def _end_with(driver: int) -> None:
    """Ends this process when it is no longer ``driver``'s child: no one wants its outcome."""
    while os.getppid() == driver:
        time.sleep(ORPHANED_AT_MOST_S)
    os._exit(1)


@contextmanager
def quiet_trackers() -> Iterator[None]:
    """Keeps the resource trackers that are started meanwhile from warning on the terminal.

    A tracker outlives a driver that was killed to clear up after it, and would tell what it
    found. A person's own filters come first.
    """
    own = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = f"{_QUIET},{own}" if own else _QUIET
    try:
        yield
    finally:
        if own is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = own
