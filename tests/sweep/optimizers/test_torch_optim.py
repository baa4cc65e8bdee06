"""The rows of torch.optim against torch itself."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from sweep.optimizers import registry
from sweep.optimizers.torch_optim import ROWS


def test_every_class_of_torch_optim_has_a_row_of_its_name():
    classes = {
        name
        for name, found in inspect.getmembers(torch.optim, inspect.isclass)
        if issubclass(found, torch.optim.Optimizer) and found is not torch.optim.Optimizer
    }
    assert {row.name for row in ROWS} == classes


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_declared_values_of_the_axes_are_the_constructors_own(row):
    undeclared = replace(row, axis_defaults={})
    for axis in ("lr", "weight_decay", "momentum"):
        assert registry.default(row, axis) == registry.default(undeclared, axis)


def test_a_grid_of_torch_optimizers_is_counted_without_torch():
    code = (
        "import sys; from sweep.grid import Grid; from sweep.grid.spec_file import load_preset; "
        "import sweep.driver; print(Grid(load_preset('full')).size, 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["3348", "False"]
