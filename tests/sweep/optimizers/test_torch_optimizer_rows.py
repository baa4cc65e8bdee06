"""The rows of torch-optimizer against its own list."""

from __future__ import annotations

import pytest

from sweep.optimizers import registry
from sweep.optimizers.torch_optimizer_rows import ROWS

library = pytest.importorskip("torch_optimizer")


def test_the_rows_are_what_the_library_exports():
    classes = set(library.__all__) - {"get"}
    assert {row.name for row in ROWS} == {f"torch_optimizer.{name}" for name in classes}


def test_all_but_the_wrapper_can_be_built():
    assert len(ROWS) == 30
    assert [row.name for row in ROWS if registry.unavailable(row)] == ["torch_optimizer.Lookahead"]
