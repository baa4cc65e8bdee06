"""The sizes of the built-in workloads, known without torch."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_STEPS = 100
"""Steps of a user's own workload, where the spec gives none."""


@dataclass(frozen=True, slots=True)
class WorkloadSize:
    """The size of the two-layer net and of its (mini)batch: ``examples`` x ``features`` inputs."""

    examples: int
    features: int
    hidden: int
    classes: int
    steps: int


BUILT_IN = {
    "article": WorkloadSize(examples=5000, features=196, hidden=64, classes=3, steps=100),
    "small": WorkloadSize(examples=256, features=16, hidden=8, classes=3, steps=20),
    "digits": WorkloadSize(examples=128, features=64, hidden=32, classes=10, steps=200),
    "digits-pretrained": WorkloadSize(examples=128, features=64, hidden=32, classes=10, steps=200),
}


def default_steps(workload: str) -> int:
    """The number of steps that ``workload`` is trained for unless the spec says otherwise."""
    return BUILT_IN[workload].steps if workload in BUILT_IN else DEFAULT_STEPS
