"""The trials still to run, and which of those handed out have no outcome yet."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial


class Source:
    """The trials to run, read lazily and from any thread.

    joblib reads it from threads of its own, which may do so a last time after their pool
    broke, and where an exception would be lost: it ends instead, and keeps the exception for
    `raise_failure`.

    Attributes:
        exhausted: whether the last trial was read, or reading failed.
    """

    def __init__(self, trials: Iterable[PlannedTrial]) -> None:
        self._trials = iter(trials)
        self._unsettled: dict[str, PlannedTrial] = {}
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self.exhausted = False

    def __iter__(self) -> Iterator[PlannedTrial]:
        return self

    def __next__(self) -> PlannedTrial:
        with self._lock:
            planned = self._read()
            self._unsettled[planned.fingerprint] = planned
        return planned

    def _read(self) -> PlannedTrial:
        if self.exhausted:
            raise StopIteration
        try:
            return next(self._trials)
        except StopIteration:
            self.exhausted = True
            raise
        except Exception as failure:
            self._failure = failure
            self.exhausted = True
            raise StopIteration from failure

    def settle(self, outcome: Outcome) -> Outcome:
        """Notes that a trial has its outcome, and returns that."""
        with self._lock:
            self._unsettled.pop(outcome.planned.fingerprint, None)
        return outcome

    def take_unsettled(self) -> list[PlannedTrial]:
        """The trials handed out that have no outcome; from now on they are the caller's."""
        with self._lock:
            unsettled, self._unsettled = list(self._unsettled.values()), {}
        return unsettled

    def raise_failure(self) -> None:
        """Raises what reading the trials raised, if anything."""
        if self._failure is not None:
            raise self._failure
