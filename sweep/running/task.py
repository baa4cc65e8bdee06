"""What a worker is asked to do with planned trials; it travels to other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from sweep.trial.groups import Group, grouped
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial

RunTrial = Callable[[PlannedTrial], Outcome]
RunGroup = Callable[[Group], list[Outcome]]


class WorkerDiedError(Exception):
    """The process that ran a trial ended without an answer; ``how`` says in what way."""

    def __init__(self, how: str) -> None:
        super().__init__(f"{how}: memory ran out, or native code crashed")


@dataclass(frozen=True, slots=True)
class Task:
    """What to do with each trial. Pickles.

    Attributes:
        run: runs one trial.
        prepare: called once in a process before its first trial.
        device: ``"cpu"`` or ``"cuda"``.
        run_group: runs trials that differ only in their seed at once, with the outcomes that
            ``run`` would have; None where each is to be run by itself.
    """

    run: RunTrial
    prepare: Callable[[], None]
    device: str = "cpu"
    run_group: RunGroup | None = None

    def groups(self, trials: Iterable[PlannedTrial]) -> Iterator[Group]:
        """``trials`` in their order, together where they are to be run at once.

        Reads one trial ahead where there is a `run_group`.
        """
        if self.run_group is None:
            return ((planned,) for planned in trials)
        return grouped(trials)

    def one_by_one(self) -> Task:
        """This task, with each trial run by itself."""
        return replace(self, run_group=None)

    def outcomes(self, group: Group) -> list[Outcome]:
        """The outcome of each of ``group``, one of `groups`. Raises what `run` raises."""
        if self.run_group is None:
            return [self.run(planned) for planned in group]
        return self.run_group(group)

    def contained_group(self, group: Group) -> list[Outcome]:
        """The outcomes of ``group`` as `contained` has them one by one."""
        if len(group) > 1:
            try:
                return self.outcomes(group)
            except Exception:
                raise
            except BaseException:  # noqa: BLE001, S110  # `contained` says below whose it was
                pass
        return [self.contained(planned) for planned in group]

    def contained(self, planned: PlannedTrial) -> Outcome:
        """The outcome of ``planned`` in a process where no person can interrupt it.

        A trial that raises what Ctrl-C raises has failed. Raises what else `run` raises.
        """
        try:
            return self.run(planned)
        except Exception:
            raise
        except BaseException as error:  # noqa: BLE001  # an optimizer may raise anything
            return self.failed(planned, error)

    def failed(
        self, planned: PlannedTrial, error: BaseException, *, seconds: float = 0.0
    ) -> Outcome:
        """The outcome of a trial that ``error`` ended after ``seconds``."""
        from sweep.trial.trial import failed

        return failed(planned, error, seconds=seconds, device=self.device)


def training(*, trace: bool, device: str, stacked: bool = True) -> Task:
    """The task of training each trial; torch is imported where it runs, not here.

    With ``stacked``, trials that differ only in their seed are trained as one stack where
    that is faster; their outcomes are the same. On a GPU that has not been shown, and each is
    trained by itself.
    """
    return Task(
        partial(_train, trace=trace, device=device),
        _import_what_training_needs,
        device,
        partial(_train_group, trace=trace, device=device) if stacked and device == "cpu" else None,
    )


def only(run: RunTrial) -> Task:
    """The task of calling ``run``."""
    return Task(run, _nothing)


def _train(planned: PlannedTrial, *, trace: bool, device: str) -> Outcome:
    from sweep.trial.trial import run_trial

    return run_trial(planned, trace=trace, device=device)


def _train_group(group: Group, *, trace: bool, device: str) -> list[Outcome]:
    from sweep.trial.trial import run_stack

    return run_stack(group, trace=trace, device=device)


def _import_what_training_needs() -> None:
    """Imports the trial, and by a first optimizer the half of torch that comes with one."""
    import torch

    import sweep.trial.trial  # noqa: F401

    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])


def _nothing() -> None:
    pass
