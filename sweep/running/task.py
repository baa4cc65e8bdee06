"""What a worker is asked to do with a planned trial; it travels to other processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sweep.outcome import Outcome
from sweep.setting import PlannedTrial

RunTrial = Callable[[PlannedTrial], Outcome]


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
    """

    run: RunTrial
    prepare: Callable[[], None]
    device: str = "cpu"

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
        from sweep.trial import failed

        return failed(planned, error, seconds=seconds, device=self.device)


def training(*, trace: bool, device: str) -> Task:
    """The task of training each trial; torch is imported where it runs, not here."""
    return Task(partial(_train, trace=trace, device=device), _import_what_training_needs, device)


def only(run: RunTrial) -> Task:
    """The task of calling ``run``."""
    return Task(run, _nothing)


def _train(planned: PlannedTrial, *, trace: bool, device: str) -> Outcome:
    from sweep.trial import run_trial

    return run_trial(planned, trace=trace, device=device)


def _import_what_training_needs() -> None:
    """Imports the trial, and by a first optimizer the half of torch that comes with one."""
    import torch

    import sweep.trial  # noqa: F401

    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])


def _nothing() -> None:
    pass
