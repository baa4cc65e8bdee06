"""How many trials this process may have at once: one for each core that it may use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """The cores that the system gives to this process, at least 1.

    Those that it may be scheduled on, and no more than a container's share of processor time
    comes to, rounded up.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux says
        allowed = os.cpu_count() or 1
    return max(1, min(allowed, _share_of_container(allowed)))


def _share_of_container(most: int) -> int:
    """The cores that cgroups (version 2, or else 1) limit this process to; ``most`` if none do."""
    try:
        quota, period = (_CGROUPS / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = (
                (_CGROUPS / "cpu" / name).read_text().strip()
                for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            )
        except OSError:
            return most
    limited = quota.isdecimal() and period.isdecimal() and int(period) > 0
    return -(-int(quota) // int(period)) if limited else most
