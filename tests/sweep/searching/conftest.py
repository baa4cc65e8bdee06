"""A recorded sweep, and searches of a small space that run in this process."""

from dataclasses import dataclass

import pytest
from here import Here

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.searching.objective import Objective
from sweep.searching.ranges import parse_ranges
from sweep.searching.search import Search, rebuilt, run_search
from sweep.searching.study import quiet_optuna, recorded_rows
from sweep.store.store import Store
from sweep.values.words import Sampler

SPEC = """
workload = "small"
steps = 6

[[grid]]
optimizer = {optimizers}
zero_grad = ["none", "zero"]
"""


def _spec_of(name="search", optimizers=("SGD", "Adam", "Adagrad"), extra=""):
    text = SPEC.format(optimizers=list(optimizers)) + extra
    return from_toml(text, source="the test", name=name)


def _search_for(
    objectives=(Objective.DRIFT_RATIO,), sampler=Sampler.TPE, ranges=(), seed=0, **spec
):
    return Search(_spec_of(**spec), parse_ranges(ranges), tuple(objectives), sampler, seed)


def _run(url, search, trials, runner=None):
    """Runs as many more trials of the search as a command would, in this process."""
    space = search.space()
    runner = runner or Here()
    with quiet_optuna(), Store.open(url) as store:
        dialogue = rebuilt(url, search, space)
        return dialogue, run_search(store, dialogue, runner, trials=trials)


@dataclass(frozen=True)
class Recorded:
    url: str

    def rows(self, name="held"):
        return recorded_rows(self.url, name)


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """A database with the sweep `held`."""
    url = f"sqlite:///{tmp_path_factory.mktemp('searching') / 'sweep.db'}"
    with Store.open(url) as store:
        grid = Grid(_spec_of("held", ["SGD", "Adam"]))
        run_sweep(store, grid, Here())
    return Recorded(url)


@pytest.fixture
def url(tmp_path):
    """A database that is not there yet: a search makes it."""
    found = f"sqlite:///{tmp_path / 'search.db'}"
    Store.open(found).close()
    return found


@pytest.fixture
def other(tmp_path):
    found = f"sqlite:///{tmp_path / 'other.db'}"
    Store.open(found).close()
    return found


@pytest.fixture
def spec_of():
    """Makes a spec of the small workload, of some optimizers."""
    return _spec_of


@pytest.fixture
def search_for():
    """Makes a search that begins from such a spec."""
    return _search_for


@pytest.fixture
def run():
    """Runs so many more trials of a search."""
    return _run
