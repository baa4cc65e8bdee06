"""The benchmark of `watch` runs, at a size for tests, and its table has every row."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    """benchmarks/watch.py, imported as running it does."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("watch")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def found(benchmark):
    """What is measured at the quick size, in this process, Lightning aside."""
    made = {
        name: measure(benchmark.QUICK, 2)
        for name, measure in benchmark.MEASUREMENTS.items()
        if name != "lightning"
    }
    return made | {"lightning": {"step": 0.1, "watched": 0.105}}


def test_each_measurement_takes_time_with_and_without_a_watch(found):
    for name, numbers in found.items():
        assert numbers["step"] > 0, name
        assert numbers["watched"] > 0, name


def test_the_table_puts_two_trees_beside_each_other(benchmark, found):
    made = benchmark.table([found, found], ["before", "now"])
    assert made.startswith("|  | aim | before | now |")
    assert len(made.splitlines()) == 2 + len(benchmark.ROWS)
    assert "105.0 ms (+5%) | 105.0 ms (+5%)" in made


@pytest.mark.slow
def test_lightning_s_steps_are_measured(benchmark):
    pytest.importorskip("lightning.pytorch")
    numbers = benchmark.lightning(benchmark.QUICK, 2)
    assert numbers["step"] > 0
    assert numbers["watched"] > 0
