"""An optimizer that leaves the process other than it found it: ``noisy:Noisy``.

What it does is a word of `NOISES`, given by its option ``kind``. Real libraries do each of
them: they set a default dtype, seed the global generators, turn grads or autocast on or off.
"""

import random

import numpy as np
import torch


def draw_and_seed():
    """Draws from every generator, then seeds it."""
    torch.rand(7), np.random.rand(7), random.random()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)


NOISES = {
    "another default dtype": lambda: torch.set_default_dtype(torch.float64),
    "another default device": lambda: torch.set_default_device("meta"),
    "grads switched off": lambda: torch.set_grad_enabled(False),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "other threads": lambda: torch.set_num_threads(2),
    "less precision": lambda: torch.set_float32_matmul_precision("medium"),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "generators advanced and seeded": draw_and_seed,
}


class Noisy(torch.optim.SGD):
    """SGD that makes its noise in the second step, and then raises."""

    steps_done = 0

    def __init__(self, params, lr=0.1, weight_decay=0.0, kind=""):
        super().__init__(params, lr, weight_decay=weight_decay)
        self.kind = kind

    def step(self, closure=None):
        """One step of SGD; the second one ends the trial."""
        super().step(closure)
        self.steps_done += 1
        if self.steps_done == 2:
            NOISES[self.kind]()
            raise RuntimeError(self.kind)
