"""What is asked of a trial when it has ended: why it leaked, and whether it moved others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sweep.trial.causes import attribute, tried
from sweep.trial.diary import Diary
from sweep.trial.reach import Reach
from sweep.trial.replay import Replay, Reruns
from sweep.trial.sideways import moves_others
from sweep.values.outcome import Causes


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What replays say of one trial; the fields are those of `sweep.values.outcome.Outcome`."""

    causes: Causes | None
    unexplained: str | None
    sideways: bool | None


def hindsight(reach: Reach, diary: Diary, first_leaks: Sequence[int | None]) -> Iterator[Hindsight]:
    """What replays say of each trial, given its first leaking step, or None.

    A replay that raises leaves open what it would have told.
    """
    sideways: Sequence[bool | None] = [False] * len(first_leaks)
    if diary.followed:
        found, _ = tried(lambda: moves_others(reach, diary.followed))
        sideways = found or [None] * len(first_leaks)
        diary.followed.clear()  # copies of the frozen parameters, before there are others
    reruns = {step: Reruns(reach, seen) for step, seen in diary.witnesses.items()}
    for number, leak in enumerate(first_leaks):
        causes = unexplained = None
        if leak is not None:
            causes, unexplained = attribute(Replay(reruns[leak], number))
        yield Hindsight(causes, unexplained, sideways[number])
