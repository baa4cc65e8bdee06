"""The random generators of a trial."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seeds the generators of torch, numpy and Python, for whatever draws from them.

    `torch.manual_seed` is not called: on a machine without a GPU it keeps every call, with
    its traceback, for the day one appears, so that a long sweep would fill the memory.
    """
    torch.default_generator.manual_seed(seed)
    if _uses_cuda():
        torch.cuda.manual_seed_all(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # the global one is what others draw from
    random.seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Runs its body with every generator seeded, and puts torch's own back afterwards.

    Those of GPUs only where this process uses them: to look is to open a context on each.
    """
    devices = range(torch.cuda.device_count()) if _uses_cuda() else ()
    with torch.random.fork_rng(devices):
        seed_everything(seed)
        yield


def generators_now() -> Callable[[], None]:
    """A function that puts every generator back to where it is now, as often as called."""
    cpu, numpys, own = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if _uses_cuda() else None

    def put_back() -> None:
        torch.set_rng_state(cpu)
        np.random.set_state(numpys)  # noqa: NPY002  # the global one is what others draw from
        random.setstate(own)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)

    return put_back


def generators_state() -> bytes:
    """Where every generator is now: the same bytes for as long as nothing has been drawn."""
    numpys, own = np.random.get_state(), random.getstate()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if _uses_cuda() else []
    torchs = [state.numpy().tobytes() for state in (torch.get_rng_state(), *cuda)]
    return pickle.dumps((torchs, numpys, own))


def _uses_cuda() -> bool:
    initialized: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return initialized
