"""The rows of timm: against its factory where it imports, else what they say instead."""

from __future__ import annotations

import pytest

from sweep.optimizers import registry
from sweep.optimizers.timm_rows import ROWS

try:
    from timm import optim as factory
except Exception:  # noqa: BLE001  # beside a torchvision of another build it may raise anything
    factory = None

imports = pytest.mark.skipif(factory is None, reason="timm does not import here")
absent = pytest.mark.skipif(factory is not None, reason="timm imports here")


@absent
def test_where_timm_does_not_import_every_row_says_so():
    reasons = {registry.unavailable(row) for row in ROWS if row.cannot is None}
    assert len(reasons) == 1
    assert any(said in reasons.pop() for said in ("is not installed", "does not import"))


@imports
def test_the_rows_are_the_names_of_the_factory():
    assert {row.name for row in ROWS} == {f"timm.{name}" for name in factory.list_optimizers()}


@imports
@pytest.mark.parametrize("row", [r for r in ROWS if r.cannot is None], ids=lambda row: row.name)
def test_a_row_has_the_class_and_the_defaults_that_the_factory_binds(row):
    info = factory.get_optimizer_info(row.name.removeprefix("timm."))
    assert registry.optimizer_class(row) is info.opt_class
    assert dict(row.options) == (info.defaults or {})


def test_all_but_those_that_need_cuda_libraries_are_rows_to_be_built():
    assert len(ROWS) == 101
    assert sum(row.cannot is None for row in ROWS) == 86
