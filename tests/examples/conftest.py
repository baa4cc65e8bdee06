"""The examples as modules, importable as they are from the root of the repository."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def examples_are_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def root():
    """The root of the repository, from which the examples are run."""
    return ROOT
