"""The rows of torch.optim against torch itself."""

from __future__ import annotations

import inspect

import torch

from sweep.optimizers.torch_optim import ROWS


def test_every_class_of_torch_optim_has_a_row_of_its_name():
    classes = {
        name
        for name, found in inspect.getmembers(torch.optim, inspect.isclass)
        if issubclass(found, torch.optim.Optimizer) and found is not torch.optim.Optimizer
    }
    assert {row.name for row in ROWS} == classes
