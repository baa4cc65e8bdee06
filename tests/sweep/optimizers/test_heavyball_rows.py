"""The rows of heavyball against its top module."""

from __future__ import annotations

import inspect

import pytest
import torch

from sweep.optimizers import registry
from sweep.optimizers.heavyball_rows import ROWS

library = pytest.importorskip("heavyball")


def test_the_rows_are_the_optimizer_classes_of_the_top_module():
    assert {row.name for row in ROWS} == {
        f"heavyball.{name}"
        for name, found in inspect.getmembers(library, inspect.isclass)
        if issubclass(found, torch.optim.Optimizer)
    }


def test_all_but_the_two_bases_and_the_splitter_can_be_built():
    refused = {row.name for row in ROWS if registry.unavailable(row) is not None}
    assert len(ROWS) == 41
    assert refused == {"heavyball.PSGDBase", "heavyball.SOAPBase", "heavyball.SplitOpt"}
