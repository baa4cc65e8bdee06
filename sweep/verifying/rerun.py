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
from sweep.verifying.recorded_trial import RecordedTrial, TrialSource, trial_again

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
    cannot be run again is a comparison with its refusal; one that two sweeps have recorded runs
    once for both, if both are waiting. Reads lazily, and only reads.
    """
    waiting: dict[str, list[RecordedTrial]] = {}
    refused: list[Comparison] = []
    lock = threading.Lock()  # trials are asked for by the runner's threads

    def trials() -> Iterator[PlannedTrial]:
        for start in range(0, len(numbers), READ_AT_ONCE):
            for record in source.read(numbers[start : start + READ_AT_ONCE]):
                try:
                    planned = trial_again(record, allow_import=allow_import)
                except LeaksweepError as error:
                    refused.append(Comparison(record, refusal=str(error)))
                    continue
                with lock:
                    records = waiting.setdefault(planned.fingerprint, [])
                    records.append(record)
                    is_first = len(records) == 1
                if is_first:
                    yield planned

    with closing(runner.run(trials())) as outcomes:
        for outcome in outcomes:
            with lock:
                records = waiting.pop(outcome.planned.fingerprint)
            yield from (compare(record, outcome) for record in records)
    yield from refused
