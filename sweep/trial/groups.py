"""Which trials can be trained as one stack. Goes without torch, as the driver does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby, islice

from sweep.errors import MisuseError
from sweep.optimizers import registry
from sweep.values.setting import PlannedTrial, Setting
from sweep.workloads.sizes import BUILT_IN

Group = tuple[PlannedTrial, ...]

STACKED = ("article", "small", "digits", "digits-pretrained")
"""The workloads that `sweep.trial.stack` knows how to stack."""

STACK_BYTES = 2**18
"""The most that the hidden layer of a whole stack may take, for one to be worth it.

Beyond a core's own cache a stack is slower than its trials one after another: see
benchmarks/README.md.
"""


def grouped(trials: Iterable[PlannedTrial]) -> Iterator[Group]:
    """``trials`` in their order, neighbours that can be trained as one stack together.

    Reads one trial beyond the group it gives.
    """
    for _, neighbours in groupby(trials, _all_but_seed):
        while group := _next_stack(neighbours):
            yield group


def _next_stack(neighbours: Iterator[PlannedTrial]) -> Group:
    first = next(neighbours, None)
    if first is None:
        return ()
    return first, *islice(neighbours, most_replicates(first) - 1)


def most_replicates(planned: PlannedTrial) -> int:
    """How many trials like ``planned`` are trained at once; 1 where it must be alone."""
    if planned.workload not in STACKED or not _is_elementwise(planned.setting.optimizer):
        return 1
    size = BUILT_IN[planned.workload]
    return max(1, STACK_BYTES // (4 * size.examples * size.hidden))


def _is_elementwise(optimizer: str) -> bool:
    try:
        return registry.lookup(optimizer).elementwise
    except MisuseError:  # it is the trial that fails, and says why
        return False


def _all_but_seed(planned: PlannedTrial) -> tuple[Setting, str, int, str]:
    return replace(planned.setting, seed=0), planned.workload, planned.steps, planned.options
