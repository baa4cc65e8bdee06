"""What a worker is asked to do with planned trials; it travels to other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from sweep.running.limits import NO_LIMITS, Limits
from sweep.trial.groups import Group, grouped
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial

RunTrial = Callable[[PlannedTrial], Outcome]
RunGroup = Callable[[Group], Iterable[Outcome]]

TRAINING = __name__.replace("running.task", "trial.ready")  # by its name here, too
"""The module that training needs: its import takes seconds, nearly all of them torch's."""


class WorkerDiedError(Exception):
    """The process that ran a trial ended without an answer; the argument says how."""

    def __str__(self) -> str:
        return f"{self.args[0]}: memory ran out, or native code crashed"


@dataclass(frozen=True, slots=True)
class Task:
    """What to do with each trial. Pickles.

    Attributes:
        run: runs one trial.
        limits: what one trial may take.
        device: ``"cpu"`` or ``"cuda"``.
        preload: the name of a module that a process imports before its first trial; or empty.
        run_group: runs trials that differ only in their seed at once, with the outcomes that
            ``run`` would have, in their order; None where each is to be run by itself.
    """

    run: RunTrial
    limits: Limits = NO_LIMITS
    device: str = "cpu"
    preload: str = TRAINING
    run_group: RunGroup | None = None

    def groups(self, trials: Iterable[PlannedTrial]) -> Iterator[Group]:
        """``trials`` in their order, together where they are to be run at once.

        Reads one trial ahead where there is a `run_group`.
        """
        if self.run_group is None:
            return ((planned,) for planned in trials)
        return grouped(trials)

    def contained_group(self, group: Group) -> Iterator[Outcome]:
        """The outcomes of ``group``, one of `groups`, in a process where nobody can interrupt.

        A trial that raises has failed, whatever it is; where that is a group, each of its trials
        is run by itself.
        """
        if self.run_group is not None and len(group) > 1:
            try:
                yield from self.run_group(group)
            except BaseException:  # noqa: BLE001, S110  # told below, by the trial whose it was
                pass
            else:
                return
        yield from map(self.contained, group)

    def contained(self, planned: PlannedTrial) -> Outcome:
        """The outcome of ``planned``, failed if it raises, be it what Ctrl-C raises."""
        try:
            return self.run(planned)
        except BaseException as error:  # noqa: BLE001  # an optimizer may raise anything
            return self.failed(planned, error)

    def failed(
        self, planned: PlannedTrial, error: BaseException, *, seconds: float = 0.0
    ) -> Outcome:
        """The outcome of a trial that ``error`` ended after ``seconds``."""
        from sweep.trial.trial import failed

        return failed(planned, error, seconds=seconds, device=self.device)


def trained(*, trace: bool, device: str, limits: Limits = NO_LIMITS, stacked: bool = True) -> Task:
    """The task of training each trial; torch is imported where it runs, not here.

    With ``stacked``, trials that differ only in their seed are trained as one stack where
    that is faster; their outcomes are the same. Not under limits, which are a trial's own, nor on
    a GPU, where it has not been shown: there each is trained by itself.
    """
    stacks = stacked and device == "cpu" and not limits
    run_group = partial(_train_group, trace, device) if stacks else None
    return Task(partial(_train, trace, device), limits, device, run_group=run_group)


def _train(trace: bool, device: str, planned: PlannedTrial) -> Outcome:
    from sweep.trial.trial import run_trial

    return run_trial(planned, trace=trace, device=device)


def _train_group(trace: bool, device: str, group: Group) -> Iterator[Outcome]:
    from sweep.trial.trial import run_stack

    return run_stack(group, trace=trace, device=device)
