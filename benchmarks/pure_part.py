"""What it saves to say that a frozen part is pure: seconds of CPU a trial, with and without.

``python benchmarks/pure_part.py`` trains the article's data through a frozen part
of two layers (196-512-64) with Adam for 100 steps, each three times, and prints the quickest.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from sweep import Workload
from sweep.trial.trial import run_trial
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import ZeroGrad

TRIALS = (
    ("always", ZeroGrad.NONE),
    ("after:10", ZeroGrad.NONE),
    ("after:10", ZeroGrad.ZERO),
    ("alternate", ZeroGrad.NONE),
)


def unsaid(seed: int) -> Workload:
    """A workload that says nothing of its frozen part."""
    part = nn.Sequential(nn.Linear(196, 512), nn.ReLU(), nn.Linear(512, 64))
    model = nn.Sequential(part, nn.ReLU(), nn.Linear(64, 3, bias=False))
    frozen = tuple(f"0.{name}" for name, _ in part.named_parameters())
    return Workload(model, (torch.randn(5000, 196), torch.randint(3, (5000,))), _loss, frozen)


def said(seed: int) -> Workload:
    """The same, which says that it is pure."""
    return replace(unsaid(seed), pure=True)


def _loss(model: nn.Module, data: tuple[Tensor, Tensor], step: int) -> Tensor:
    x, y = data
    return functional.cross_entropy(model(x), y)


def quickest(workload: str, schedule: str, zero_grad: ZeroGrad) -> tuple[float, Outcome]:
    """Seconds of CPU, and what came out."""
    planned = PlannedTrial(
        Setting("Adam", 0.01, 0.0, 0.9, zero_grad, schedule), f"pure_part:{workload}", 100
    )
    seconds = []
    for _ in range(3):
        started = time.process_time()
        outcome = run_trial(planned)
        seconds.append(time.process_time() - started)
    return min(seconds), outcome


def main() -> None:
    """Prints a row a trial."""
    print("| schedule | zero_grad | verdict | s | s, said | times | same |")
    print("|---|---|---|---|---|---|---|")
    for schedule, zero_grad in TRIALS:
        (before, one), (after, other) = (
            quickest(workload, schedule, zero_grad) for workload in ("unsaid", "said")
        )
        same = (one.measurement, one.causes) == (other.measurement, other.causes)
        print(
            f"| {schedule} | {zero_grad.value} | {one.verdict.value} | {before:.2f} | {after:.2f} "
            f"| {before / after:.2f} | {same} |"
        )


if __name__ == "__main__":
    main()
