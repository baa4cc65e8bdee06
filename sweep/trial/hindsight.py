"""What is asked of a trial when it has ended: why it leaked, and whether it moved others.

The frozen layer's grad may change how the *other* parameters move: zeros in it enter a global step
size's sum over all parameters (D-Adaptation, Prodigy). That can show on the very step or, through
the state that the step leaves behind, on one of the next few.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sweep.trial.causes import NOT_REPEATED, UnexplainedError, attribute, tried
from sweep.trial.diary import Diary, Followed
from sweep.trial.moment import cloned
from sweep.trial.reach import Reach
from sweep.trial.replay import Replay, Reruns, drop, leave
from sweep.trial.stack import digests
from sweep.trial.training import Training
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
        found, _ = tried(lambda: _moves_others(reach, diary.followed))
        sideways = found or [None] * len(first_leaks)
        diary.followed.clear()  # copies of the frozen parameters, before there are others
    reruns = {step: Reruns(reach, seen) for step, seen in diary.witnesses.items()}
    for number, leak in enumerate(first_leaks):
        causes = unexplained = None
        if leak is not None:
            causes, unexplained = attribute(Replay(reruns[leak], number))
        yield Hindsight(causes, unexplained, sideways[number])


def _moves_others(reach: Reach, followed: Sequence[Followed]) -> list[bool]:
    """Whether the other parameters would have moved differently, had the grad been None.

    For each trial; ``followed`` are its own steps, which are one side of the comparison. A
    difference counts where a training that keeps its grads shows none. Raises
    `UnexplainedError` where that does not repeat the trial either.
    """
    if reach.has_copy:
        found, _ = tried(lambda: _known_to_differ(reach, followed))
        if found is not None:
            return found
        reach.forget_copy()  # it does not repeat the trial, or lacks something
    return _known_to_differ(reach, followed)


def _known_to_differ(reach: Reach, followed: Sequence[Followed]) -> list[bool]:
    differ = _differ(reach, followed, without_grads=True)
    if any(differ) and any(_differ(reach, followed, without_grads=False)):
        raise UnexplainedError(NOT_REPEATED)
    return differ


def _differ(reach: Reach, followed: Sequence[Followed], *, without_grads: bool) -> list[bool]:
    """Whether the others move otherwise than in the trial, on one of the steps or another.

    After each step the frozen parameters and their grads are put where the trial's were, so
    that nothing but the optimizer can tell the two apart.
    """
    training = reach.at(followed[0].step)
    differ = [False] * training.replicates
    for lived in followed:
        if lived is not followed[0]:
            training.change_grads(leave)
            training.ready(lived.step)
        met = _grads(training) if lived.grads is None else lived.grads
        training.change_grads(drop if without_grads else leave)
        training.step()
        others = digests(training.other_parameters.values(), training.replicates)
        now = zip(others, lived.others, strict=True)
        differ = [was or here != there for was, (here, there) in zip(differ, now, strict=True)]
        if all(differ) or lived is followed[-1]:
            break
        _align(training, lived.frozen, met)
        training.clear_grads()
        lived.put_back_generators()
    return differ


def _grads(training: Training) -> Mapping[str, Tensor | None]:
    return {name: cloned(p.grad) for name, p in training.frozen_parameters.items()}


def _align(
    training: Training, frozen: Mapping[str, Tensor], grads: Mapping[str, Tensor | None]
) -> None:
    """Gives the frozen parameters the bits and grads that they had in the trial."""
    for name, parameter in training.frozen_parameters.items():
        with torch.no_grad():
            parameter.copy_(frozen[name])
        parameter.grad = cloned(grads[name])
