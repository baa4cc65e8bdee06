"""What goes wrong inside a hook ends the judging of a parameter, and never a training run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from sweep.watching.roster import Roster, Subject

logger = logging.getLogger(__name__)
_Found = TypeVar("_Found")


class NotJudgedWarning(UserWarning):
    """Something went wrong while a parameter was looked at; training goes on as without."""


class Guard:
    """Does what may go wrong, and lists the parameters for which it did."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._warned = False

    def one(self, parameter: Tensor, work: Callable[[], None]) -> None:
        """Does ``work``, which is about that parameter; gives the parameter up where it raises."""
        try:
            work()
        except Exception as error:  # noqa: BLE001  # hooks must not end a training run
            self.give_up(self._roster.of(parameter), error)

    def step(self, work: Callable[[], None], subjects: Sequence[Subject]) -> None:
        """Does ``work``, which is about all of them; gives all up where it raises."""
        try:
            with torch.no_grad():
                work()
        except Exception as error:  # noqa: BLE001  # as above
            for subject in list(subjects):
                self.give_up(subject, error)

    def all(
        self,
        subjects: Sequence[Subject],
        work: Callable[[list[Tensor]], _Found],
        join: Callable[[_Found, _Found], _Found],
        nothing: _Found,
    ) -> _Found:
        """What ``work`` gives for those that are judged; one by one where it raises for all.

        ``join`` makes one of what it gave for two of them.
        """
        tensors = [subject.parameter for subject in subjects if subject.not_judged is None]
        try:
            return work(tensors)
        except Exception:  # noqa: BLE001  # one of them, or a few: found out below
            found = nothing
            for tensor in tensors:
                try:
                    found = join(found, work([tensor]))
                except Exception as error:  # noqa: BLE001  # as above
                    self.give_up(self._roster.of(tensor), error)
            return found

    def give_up(self, subject: Subject | None, error: BaseException) -> None:
        """Judges that parameter no longer; warns the first time."""
        if subject is not None and subject.not_judged is None:
            subject.not_judged = f"{type(error).__name__}: {error}"
            self.warn(f"{subject.name} is not judged any more: {subject.not_judged}")

    def warn(self, message: str) -> None:
        """Warns, the first time only, and raises nothing even where warnings are errors."""
        if self._warned:
            return
        self._warned = True
        try:
            warnings.warn(f"watch: {message}", NotJudgedWarning, stacklevel=2)
        except Warning:
            logger.warning("%s", message)
