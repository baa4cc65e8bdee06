"""Optimizers that go wrong: a trial names one as ``faulty:RaisesAtStep7``."""

import torch


class RaisesAtStep7(torch.optim.SGD):
    """SGD that raises in step 7, counting from 0."""

    steps_done = 0

    def step(self, closure=None):
        """One step of SGD, seven times."""
        if self.steps_done == 7:
            raise ArithmeticError("no eighth step")
        self.steps_done += 1
        return super().step(closure)
