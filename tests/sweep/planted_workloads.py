"""Workloads that try what a trial stands on, named as ``planted_workloads:noisy``."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from sweep.workloads.built_in import build_workload
from sweep.workloads.workload import Workload


def noisy(seed):
    """Dropout and batch norm: random draws and buffers."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 1)
    )
    data = torch.randn(16, 4)

    def loss(model, data, step):
        drawn = np.random.standard_normal((16, 4))  # noqa: NPY002  # the global generator
        noise = torch.from_numpy(drawn.astype(np.float32))
        return model(data + noise).square().mean()

    return Workload(model, data, loss, ("0.weight", "0.bias"))


def small_without_its_flag(seed):
    """The workload `small`, detached by forward hooks and not by the model itself."""
    small = build_workload("small", seed)
    return Workload(small.model, small.data, small.loss, small.frozen)


_built = []


def drifting(seed):
    """A workload that is another each time it is built in a process."""
    _built.append(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    data = torch.randn(16, 4), 1.0 / len(_built)
    return Workload(model, data, _scaled, frozen=("0.weight",))


def _scaled(model, data, step):
    x, scale = data
    return model(x).square().mean() * scale


BUILT_ONCE = []


def only_once(seed):
    """A workload that a process can build once."""
    if BUILT_ONCE:
        raise RuntimeError("built already")
    BUILT_ONCE.append(seed)
    return Workload(
        nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)),
        torch.randn(16, 4),
        _square,
        frozen=("0.weight",),
    )


def _square(model, x, step):
    return model(x).square().mean()


def sparse(seed):
    """Two embeddings with sparse grads."""
    model = nn.Sequential(nn.Embedding(10, 4, sparse=True), nn.Embedding(10, 4, sparse=True))
    return Workload(model, torch.randint(10, (16,)), _both, frozen=("0.weight",))


def _both(model, x, step):
    return (model[0](x) + model[1](x)).square().mean()


def wide(seed):
    """Eight MiB of parameters."""
    model = nn.Sequential(nn.Linear(64, 16384, bias=False), nn.Linear(16384, 64, bias=False))
    return Workload(model, torch.randn(2, 64), _square, frozen=("0.weight",))


def large(seed):
    """Six MiB of parameters, of which a quarter are frozen."""
    model = nn.Sequential(
        nn.Linear(600, 600, bias=False), nn.ReLU(), nn.Linear(600, 1800, bias=False)
    )
    return Workload(model, torch.randn(8, 600), _square, frozen=("0.weight",))


def _saying(pure, layer):
    """A layer that is frozen, and says whether it is pure, before one that is not."""
    model = nn.Sequential(layer, nn.ReLU(inplace=True), nn.Linear(8, 2))
    return Workload(model, torch.randn(16, 4), _square, ("0.weight",), pure=pure)


class Counting(nn.Linear):
    """Counts the times that it computes, in its class."""

    computed = 0

    def forward(self, x):
        Counting.computed += 1
        return super().forward(x)


def counting(seed):
    """A layer of which nothing is said."""
    return _saying(False, Counting(4, 8))


def counting_pure(seed):
    """The same layer, which says that it is pure."""
    return _saying(True, Counting(4, 8))


class _Drawing(nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.randn(8)


class _Remembering(nn.Linear):
    """Gives something else each time, for the same weights and input."""

    def forward(self, x):
        self.times = getattr(self, "times", 0) + 1
        return super().forward(x) * self.times


class _Writing(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += 1
        return super().forward(x)


def drawing(seed):
    """A layer that draws at random, and says that it is pure."""
    return _saying(True, _Drawing(4, 8))


def remembering(seed):
    """A layer that has a memory of its own, and says that it is pure."""
    return _saying(True, _Remembering(4, 8))


def writing(seed):
    """A layer that writes into a buffer, and says that it is pure."""
    return _saying(True, _Writing(4, 8))


def _of_the_step(model, x, step):
    x.numpy()[:] = step  # in place, and past torch's count of versions
    return _square(model, x, step)


def written_to(seed):
    """A layer whose input is written to on each step, of which nothing is said."""
    return replace(counting(seed), loss=_of_the_step)


def written_to_pure(seed):
    """The same layer, which says that it is pure."""
    return replace(counting_pure(seed), loss=_of_the_step)
