"""What one trial may take, and what becomes of a trial that takes more.

Owns the limits, the reasons that a stopped trial is recorded with, and how memory is read.
That they are kept is for `sweep.running.worker` to see to.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import MisuseError

_MEMORY_IS_READ = Path("/proc/self/statm").exists()
_PAGES_A_MIB = 2**20 // os.sysconf("SC_PAGE_SIZE") if _MEMORY_IS_READ else 1


class TrialTimeoutError(Exception):
    """A trial that took longer than it may."""


class TrialMemoryError(Exception):
    """A trial that took more memory than it may."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one trial may take; None for as much as it likes.

    Attributes:
        timeout_s: seconds from when its process has it; more than 0.
        memory_mib: MiB by which its process may grow while it runs; more than 0.

    Raises MisuseError for a limit that is no positive number, and for one on memory where
    the system does not say what a process takes.
    """

    timeout_s: float | None = None
    memory_mib: float | None = None

    def __post_init__(self) -> None:
        _check_positive("--trial-timeout", self.timeout_s, "seconds")
        _check_positive("--trial-memory", self.memory_mib, "MiB")
        if self.memory_mib is not None and not _MEMORY_IS_READ:
            raise MisuseError(
                "--trial-memory needs /proc, where Linux says how much memory a process has; "
                "this system has none. Leave it out, or limit the whole command's memory."
            )

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return self.timeout_s is not None or self.memory_mib is not None

    def broken(self, seconds: float, grown_mib: float) -> Exception | None:
        """What becomes of a trial that has run for ``seconds`` and grown by ``grown_mib``.

        A TrialTimeoutError or TrialMemoryError, as the case is; None within the limits.
        """
        if self.timeout_s is not None and seconds >= self.timeout_s:
            return TrialTimeoutError(f"took longer than {self.timeout_s:g} s (--trial-timeout)")
        if self.memory_mib is not None and grown_mib > self.memory_mib:
            return TrialMemoryError(
                f"took more than {self.memory_mib:g} MiB (--trial-memory): "
                f"{grown_mib:.0f} MiB when it was stopped"
            )
        return None


def _check_positive(option: str, value: float | None, unit: str) -> None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise MisuseError(
            f"{option} takes a number of {unit} above 0; {value:g} came. Leave it out for no limit."
        )


NO_LIMITS = Limits()


def resident_mib(pid: int) -> float:
    """The memory that the process ``pid`` holds now, in MiB; 0 if it has ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0.0
    return int(pages) / _PAGES_A_MIB
