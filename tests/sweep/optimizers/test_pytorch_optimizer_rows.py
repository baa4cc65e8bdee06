"""The rows of pytorch-optimizer against its own list."""

from __future__ import annotations

import pytest

from sweep.optimizers import registry
from sweep.optimizers.pytorch_optimizer_rows import ROWS

library = pytest.importorskip("pytorch_optimizer")


def test_the_rows_are_the_supported_optimizers_in_the_librarys_names():
    assert {row.name for row in ROWS} == {
        f"pytorch_optimizer.{name}" for name in library.get_supported_optimizers()
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_names_the_class_that_the_library_loads_by_that_name(row):
    name = row.name.removeprefix("pytorch_optimizer.")
    assert registry.optimizer_class(row) is library.load_optimizer(name)


def test_more_than_120_of_its_128_can_be_built():
    assert len(ROWS) == 128
    assert sum(registry.unavailable(row) is None for row in ROWS) == 126
