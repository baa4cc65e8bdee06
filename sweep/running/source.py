"""The trials still to run, and what reading them raised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sweep.values.setting import PlannedTrial


class LazyTrials:
    """The trials to run, read lazily.

    Ends where reading raises, so that what was read by then is run to its end first, and keeps
    the exception for `raise_failure`.
    """

    def __init__(self, trials: Iterable[PlannedTrial]) -> None:
        self._trials = iter(trials)
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[PlannedTrial]:
        return self

    def __next__(self) -> PlannedTrial:
        if self._failure is not None:
            raise StopIteration
        try:
            return next(self._trials)
        except StopIteration:
            raise
        except Exception as failure:
            self._failure = failure
            raise StopIteration from failure

    def raise_failure(self) -> None:
        """Raises what reading the trials raised, if anything."""
        if self._failure is not None:
            raise self._failure
