"""What this machine's cores can do at most, and the arithmetic that a trial takes."""

from __future__ import annotations

import time

from sweep.workloads.sizes import WorkloadSize

SIDE = 1024
"""Rows and columns of the matrices whose products are the peak: large enough, still in cache."""


def gigaflop_a_trial(size: WorkloadSize, frozen_steps: int, attached_steps: int) -> float:
    """The GFLOP of the matrix products of one trial's training.

    A step counts as one forward and one backward pass, with a grad of the frozen layer's
    weight where the layer is attached: what any training loop has to do. The replays that find
    causes are not counted.
    """
    first = 2 * size.examples * size.features * size.hidden
    second = 2 * size.examples * size.hidden * size.classes
    attached = attached_steps * (2 * first + 3 * second)
    return (attached + frozen_steps * (first + 2 * second)) / 1e9


def peak_gigaflop_per_second(processes: int, seconds: float = 0.5) -> float:
    """GFLOP/s of float32 matrix products by ``processes`` at once, one thread each, in sum.

    Each multiplies for ``seconds``, in a process of joblib's.
    """
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", inner_max_num_threads=1):
        rates: list[float] = Parallel(processes)(
            delayed(_products)(seconds) for _ in range(processes)
        )
    return sum(rates)


def _products(seconds: float) -> float:
    """GFLOP/s of products in this process."""
    import torch

    torch.set_num_threads(1)
    one, other = torch.randn(2, SIDE, SIDE).unbind()
    product = torch.mm(one, other)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        torch.mm(one, other, out=product)
        count += 1
    return 2 * SIDE**3 * count / (time.perf_counter() - started) / 1e9
