"""What the callbacks of every trainer are tested with."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

PAGE = Path(__file__).parents[3] / "docs" / "watch.md"


class Net(nn.Module):
    """A frozen-on-odd-calls body and a head."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 1)

    def forward(self, x, detach_body=False):
        hidden = self.body(x)
        return self.head(hidden.detach() if detach_body else hidden)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def hooks_on():
    """How many step hooks an optimizer has."""
    return lambda optimizer: (
        len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)
    )


@pytest.fixture
def documented():
    """The code of docs/watch.md between the markers of that name."""

    def code(name):
        marked = rf"<!-- {name}-example -->\n```python\n(.*?)```"
        return re.search(marked, PAGE.read_text(), re.DOTALL)[1]

    return code
