"""Addresses of constructor arguments."""

from __future__ import annotations

import pytest

from sweep.optimizers import registry
from sweep.optimizers.entry import split_address


@pytest.mark.parametrize(
    ("address", "parts"),
    [("momentum", ("momentum", None)), ("betas[0]", ("betas", 0)), ("nus[12]", ("nus", 12))],
)
def test_an_address_is_an_argument_and_maybe_an_index(address, parts):
    assert split_address(address) == parts


@pytest.mark.parametrize(
    ("axis", "address"), [("lr", "lr"), ("weight_decay", "weight_decay"), ("momentum", "betas[0]")]
)
def test_a_row_knows_the_address_of_each_axis(axis, address):
    assert registry.lookup("Adam").address(axis) == address
