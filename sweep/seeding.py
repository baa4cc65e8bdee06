"""The random generators of a trial."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seeds the generators of torch, numpy and Python, for whatever draws from them.

    `torch.manual_seed` is not called: on a machine without a GPU it keeps every call, with
    its traceback, for the day one appears, so that a long sweep would fill the memory.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # the global one is what others draw from
    random.seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Runs its body with every generator seeded, and puts torch's own back afterwards."""
    with torch.random.fork_rng():
        seed_everything(seed)
        yield
