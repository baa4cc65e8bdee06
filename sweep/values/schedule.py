"""When a layer is frozen: the values of the `schedule` axis.

Steps count from 0. Schedules that freeze the same steps share one name, so that no two
settings mean the same trial: ``every:1`` is ``never``, ``every:2`` is ``alternate`` and
``after:0`` is ``always``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sweep.errors import UnknownNameError

FORMS = ("alternate", "always", "never", "every:N", "after:K")
_HINT = "every:N is attached on steps divisible by N >= 1 only; after:K is frozen from step K on."
_PARAMETRIC = re.compile(r"(?P<form>every|after):(?P<number>[0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which steps of a trial freeze the layer.

    A step is attached if it is before `after` and divisible by `every`; None is no bound.
    Made by `parse`, which sees to it that equal schedules are equal values.

    >>> [parse("alternate").frozen(step) for step in range(4)]
    [False, True, False, True]
    """

    every: int = 1
    after: int | None = None

    def frozen(self, step: int) -> bool:
        """Whether ``step`` (counting from 0) freezes the layer."""
        return step % self.every != 0 or (self.after is not None and step >= self.after)

    def attached_steps(self, steps: int) -> int:
        """How many of the first ``steps`` steps leave the layer attached."""
        considered = steps if self.after is None else min(steps, self.after)
        return -(-considered // self.every)

    def frozen_steps(self, steps: int) -> int:
        """How many of the first ``steps`` steps freeze the layer."""
        return steps - self.attached_steps(steps)

    def __str__(self) -> str:
        """The one text of this schedule, as the `schedule` column has it."""
        if self.after is not None:
            return f"after:{self.after}" if self.after else "always"
        return {1: "never", 2: "alternate"}.get(self.every, f"every:{self.every}")


_NAMED = {"alternate": Schedule(every=2), "always": Schedule(after=0), "never": Schedule()}


def known_by(text: str, steps: int) -> str:
    """The one name of all schedules that freeze the same of ``steps`` steps as ``text``.

    It is a name without a number where there is one, and else ``after:K`` before ``every:N``.
    Raises UnknownNameError as `parse` does.

    >>> known_by("every:30", steps=20)
    'after:1'
    """
    schedule = parse(text)
    if schedule.after is None and schedule.every >= steps > 0:
        schedule = Schedule(after=1)
    if schedule.after is not None and schedule.after >= steps:
        return "never"
    if schedule.after == 1 and steps == 2:
        return "alternate"
    return str(schedule)


def parse(text: str) -> Schedule:
    """The schedule that ``text`` names.

    Raises UnknownNameError, with the nearest form, for anything else.

    >>> str(parse("every:2"))
    'alternate'
    """
    if text in _NAMED:
        return _NAMED[text]
    match = _PARAMETRIC.fullmatch(text)
    number = int(match["number"]) if match else 0
    if match and match["form"] == "after":
        return Schedule(after=number)
    if number == 0:
        raise UnknownNameError("schedule", text, FORMS, hint=_HINT)
    return Schedule(every=number)
