"""What goes wrong inside a hook ends the judging of a parameter, and never a training run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from sweep.watching.marks import Marks, Moves
from sweep.watching.roster import Roster, Subject

logger = logging.getLogger(__name__)


class _Tells(Protocol):
    @property
    def parameter(self) -> Tensor: ...


_Found = TypeVar("_Found")
_About = TypeVar("_About", bound=_Tells)


class NotJudgedWarning(UserWarning):
    """Something went wrong while a parameter was looked at; training goes on as without."""


class Guard:
    """Does what may go wrong, and lists the parameters for which it did.

    Attributes:
        marks: what is remembered of the parameters.
    """

    def __init__(self, roster: Roster) -> None:
        self.marks = Marks()
        self._roster = roster
        self._warned = False

    def one(self, parameter: Tensor, work: Callable[[], object]) -> None:
        """Does ``work``, which is about that parameter; gives the parameter up where it raises."""
        try:
            work()
        except Exception as error:  # noqa: BLE001  # hooks must not end a training run
            self._give_up(self._roster.of(parameter), error)

    def each(self, of: Iterable[_About], work: Callable[[_About], object]) -> None:
        """Does ``work`` for each of them, likewise."""
        for item in of:
            try:
                work(item)
            except Exception as error:  # noqa: BLE001  # as above
                self._give_up(self._roster.of(item.parameter), error)

    def step(self, work: Callable[[], None], subjects: Iterable[Subject]) -> None:
        """Does ``work``, which is about all of them; gives all up where it raises."""
        try:
            with torch.no_grad():
                work()
        except Exception as error:  # noqa: BLE001  # as above
            for subject in list(subjects):
                self._give_up(subject, error)

    def all(
        self, subjects: Iterable[Subject], work: Callable[[list[Tensor]], _Found]
    ) -> list[_Found]:
        """What ``work`` gives for those that are judged; one by one where it raises for all."""
        judged = [subject for subject in subjects if subject.not_judged is None]
        try:
            return [work([subject.parameter for subject in judged])]
        except Exception:  # noqa: BLE001  # one of them, or a few: found out below
            found: list[_Found] = []
            self.each(judged, lambda subject: found.append(work([subject.parameter])))
            return found

    def moves(self, subjects: Sequence[Subject], *, trusted: bool, anew: bool = True) -> Moves:
        """Which of them moved since they were last marked; as `Marks.update`."""
        update = partial(self.marks.update, trusted=trusted, anew=anew)
        return reduce(Moves.joined, self.all(subjects, update) if subjects else (), Moves())

    def _give_up(self, subject: Subject | None, error: BaseException) -> None:
        """Judges that parameter no longer; warns the first time.

        Raises nothing even where warnings are errors.
        """
        if subject is None or subject.not_judged is not None:
            return
        subject.not_judged = f"{type(error).__name__}: {error}"
        if self._warned:
            return
        self._warned = True
        message = f"{subject.name} is not judged any more: {subject.not_judged}"
        try:
            warnings.warn(f"watch: {message}", NotJudgedWarning, stacklevel=2)
        except Warning:
            logger.warning("%s", message)
