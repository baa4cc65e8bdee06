"""Runs recorded trials again, each once, and compares as the outcomes come."""

from __future__ import annotations

import random
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from sweep.errors import LeaksweepError
from sweep.running.runner import Runner
from sweep.values.setting import PlannedTrial
from sweep.verifying.comparison import Comparison, compare
from sweep.verifying.recorded_trial import RecordedTrial
from sweep.verifying.trial_again import trial_again
from sweep.verifying.trial_sources import TrialSource

READ_AT_ONCE = 500
"""Trials read at once."""


def sample(numbers: Sequence[int], size: int | None, seed: int) -> list[int]:
    """``size`` of ``numbers``, in order and the same for the same seed; all for None.

    >>> sample(range(100), 3, seed=0)
    [49, 53, 97]
    >>> sample([1, 2], 3, seed=0)
    [1, 2]
    """
    if size is None or size >= len(numbers):
        return list(numbers)
    return sorted(random.Random(seed).sample(numbers, size))


def replayed(
    source: TrialSource, numbers: Sequence[int], runner: Runner, *, allow_import: bool = False
) -> Generator[Comparison, None, None]:
    """A comparison for each of ``numbers``, in the order in which their trials finish.

    Code that a record names is imported only where ``allow_import`` says so. A trial that
    cannot be run again is a comparison with its refusal. Reads lazily, and only reads.
    """
    replay = _Replay(source, numbers, allow_import)
    with closing(runner.run(replay.trials())) as outcomes:
        for outcome in outcomes:
            for record in replay.settle(outcome.planned):
                yield compare(record, outcome)
    yield from replay.refused


class _Replay:
    """Which records wait for an outcome; read by the runner's threads, settled by ours.

    A trial that two sweeps have recorded runs once for both, if both are waiting.
    """

    def __init__(self, source: TrialSource, numbers: Sequence[int], allow_import: bool) -> None:
        self._source = source
        self._numbers = numbers
        self._allow_import = allow_import
        self._waiting: dict[str, list[RecordedTrial]] = {}
        self._lock = threading.Lock()
        self.refused: list[Comparison] = []

    def trials(self) -> Iterator[PlannedTrial]:
        """The trials to run."""
        for start in range(0, len(self._numbers), READ_AT_ONCE):
            for record in self._source.read(self._numbers[start : start + READ_AT_ONCE]):
                planned = self._planned(record)
                if planned is not None and self._first_to_wait(planned, record):
                    yield planned

    def settle(self, planned: PlannedTrial) -> list[RecordedTrial]:
        """The records that waited for the outcome of ``planned``."""
        with self._lock:
            return self._waiting.pop(planned.fingerprint)

    def _planned(self, record: RecordedTrial) -> PlannedTrial | None:
        try:
            return trial_again(record, allow_import=self._allow_import)
        except LeaksweepError as error:
            self.refused.append(Comparison(record, refusal=str(error)))
            return None

    def _first_to_wait(self, planned: PlannedTrial, record: RecordedTrial) -> bool:
        with self._lock:
            waiting = self._waiting.setdefault(planned.fingerprint, [])
            waiting.append(record)
            return len(waiting) == 1
