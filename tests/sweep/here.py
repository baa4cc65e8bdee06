"""A runner in this very process, for tests of what is done with outcomes: no process is started.

Trials that are trained in it run as they do in a worker.
"""

from dataclasses import dataclass

from sweep.running.task import RunTrial, trained
from sweep.values.words import Backend


@dataclass(frozen=True)
class Here:
    """Runs trials one after another, by ``run_trial`` or by training them."""

    run_trial: RunTrial | None = None
    device: str = "cpu"
    backend: Backend = Backend.PROCESSES

    def run(self, trials):
        """The outcome of each of ``trials``, in their order."""
        yield from map(self.run_trial or trained(trace=False, device="cpu").run, trials)
