"""What a worker of a cluster on this machine does first: leaves Ctrl-C to the driver.

Dask loads it into each such worker, those that replace others included.
"""

from __future__ import annotations

import signal


def dask_setup(_worker: object) -> None:
    """Has this process ignore what reaches every process of a terminal or service."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
