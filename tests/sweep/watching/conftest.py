"""Small models and loops that the tests of `watch` share."""

import gc

import pytest
import torch
from torch import nn


class TwoLayers(nn.Module):
    """``first`` can be detached; ``second`` cannot."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.second = nn.Linear(6, 3)

    def forward(self, x, *, detach=False):
        hidden = self.first(x)
        return self.second(torch.relu(hidden.detach() if detach else hidden))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def model():
    return TwoLayers()


@pytest.fixture
def train():
    """Trains a `TwoLayers`, its first layer detached on the steps named."""

    def run(model, optimizer, steps=6, *, detached=lambda step: step % 2 == 1, to_none=True):
        for step in range(steps):
            x = torch.randn(5, 4)
            model(x, detach=detached(step)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=to_none)

    return run


@pytest.fixture(autouse=True)
def no_watch_is_left_over():
    gc.freeze()  # what is there by now, half a million objects of libraries, is not looked at
    yield
    gc.collect()
    from sweep.watching import session

    assert not list(session._WATCHED)
