"""How many trials finish in a second, as of late: what is left is judged by that."""

from __future__ import annotations

from collections import deque

LATELY_S = 15.0
"""Over how long; long enough that a stack of trials, which end at once, is no rush."""


class Pace:
    """Notes when trials finish. Nothing is said of the time until the first one does.

    >>> pace = Pace()
    >>> for second in range(1, 11):
    ...     pace.note(float(second), 4 * second)
    >>> pace.a_second(10.0)
    4.0
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, seconds: float, finished: int) -> None:
        """Takes note that by then so many had finished."""
        if self._seen and seconds - self._seen[-1][0] < LATELY_S / 100:
            seconds = self._seen.pop()[0]  # of so many moments, the later count
        self._seen.append((seconds, finished))
        while len(self._seen) > 2 and self._seen[1][0] < seconds - LATELY_S:
            self._seen.popleft()

    def a_second(self, seconds: float) -> float | None:
        """Trials a second up to then, over the last while; None where it cannot be said yet."""
        if len(self._seen) < 2:
            return None
        since, before = self._seen[0]
        return (self._seen[-1][1] - before) / max(seconds - since, 1e-9)
