"""Which of a grid's trials what was found is held against."""

import pytest
from here import Here

from sweep.cli.searched import grid_trials
from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml, load_preset, with_overrides
from sweep.searching.claims import claim_search
from sweep.searching.objective import Objective
from sweep.searching.ranges import parse_ranges
from sweep.searching.search import Search
from sweep.store.store import Store
from sweep.values.words import Sampler

BOTH = (Objective.DRIFT_RATIO, Objective.FINAL_LOSS)
SPEC = """
workload = "small"
steps = 6
[[grid]]
optimizer = {}
zero_grad = ["none", "zero"]
"""


def spec_of(name, optimizers=("SGD", "Adam", "Adagrad")):
    return from_toml(SPEC.format(list(optimizers)), source="the test", name=name)


SEARCH = Search(spec_of("search"), parse_ranges([]), BOTH, Sampler.RANDOM)


@pytest.fixture
def db(tmp_path):
    """A database with the search `search` and the sweep `held`."""
    url = f"sqlite:///{tmp_path / 'sweep.db'}"
    with Store.open(url) as store:
        claim_search(store, SEARCH.spec, SEARCH.how())
        run_sweep(store, Grid(spec_of("held")), Here())
    return url


def test_the_recorded_sweep_of_the_grid_is_taken(db):
    found = grid_trials(db, spec_of("held"), SEARCH)
    assert (found.where, len(found.trials)) == ("the sweep 'held'", 6)
    drift = found.trials["drift_ratio"].tolist()
    assert drift == sorted(drift, reverse=True)
    fewer = grid_trials(db, spec_of("held", ["SGD"]), SEARCH)
    assert set(fewer.trials["optimizer"]) == {"SGD"}


def test_a_search_or_other_steps_are_no_grid(db):
    assert grid_trials(db, spec_of("search"), SEARCH) is None
    assert grid_trials(db, with_overrides(spec_of("held"), steps=7), SEARCH) is None


def test_a_presets_committed_results_stand_in_for_it(db):
    spec = with_overrides(load_preset("remedies"), set=["optimizer=SGD", "seed=0"])
    found = grid_trials(db, spec, SEARCH)
    assert found.where == "results/reference/remedies"
    assert set(found.trials["optimizer"]) == {"SGD"}
    assert set(found.trials["seed"]) == {0}


@pytest.mark.parametrize("name", ["nowhere", "../reference/remedies"])
def test_a_grid_that_is_nowhere_is_none(db, name):
    assert grid_trials(db, spec_of(name), SEARCH) is None
