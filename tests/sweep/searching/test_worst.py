"""What was found, in order, and which of the grid's trials it is held against."""

import optuna
import pytest
from here import Here

from sweep.driver import run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import load_preset, with_overrides
from sweep.searching.objective import Objective
from sweep.searching.worst import front, grid_trials, ranked, worst
from sweep.store.store import Store

BOTH = [Objective.DRIFT_RATIO, Objective.FINAL_LOSS]


def row(number, drift, loss=1.0, **changed):
    columns = {"id": number, "drift_ratio": drift, "final_loss": loss}
    return {"verdict": "leaks", "diverged": False} | columns | changed


def test_only_what_has_every_objective_is_ranked():
    rows = [row(1, 0.5), row(2, None), row(3, 9.0, diverged=True), row(4, None, verdict="failed")]
    assert [each.row["id"] for each in ranked(rows, BOTH)] == [1]


@pytest.mark.parametrize(("place", "expected"), [(0, [2, 3, 1]), (1, [3, 1, 2])])
def test_the_most_drift_and_the_least_loss_come_first(place, expected):
    trials = ranked([row(1, 0.5, 1.0), row(2, 2.0, 3.0), row(3, 1.0, 0.5)], BOTH)
    found = worst(trials, BOTH[place], place)
    assert [each.row["id"] for each in found] == expected


def test_no_trial_of_the_front_is_beaten_in_everything():
    rows = [row(1, 1.0, 1.0), row(2, 2.0, 2.0), row(3, 0.5, 1.5), row(4, 2.0, 2.0)]
    study = optuna.create_study(directions=[each.direction for each in BOTH])
    for each in rows:
        values = [each["drift_ratio"], each["final_loss"]]
        study.add_trial(optuna.trial.create_trial(values=values, user_attrs={"trial": each["id"]}))
    assert [each.row["id"] for each in front(study, rows, BOTH)] == [2, 4, 1]


def test_the_recorded_sweep_of_the_grid_is_taken(url, run, search_for, spec_of):
    with Store.open(url) as store:
        run_sweep(store, Grid(spec_of("held")), Here())
    found = grid_trials(url, spec_of("held"), BOTH, searched="search")
    assert (found.where, len(found.trials)) == ("the sweep 'held'", 6)
    fewer = grid_trials(url, spec_of("held", ["SGD"]), BOTH, searched="search")
    assert {each.row["optimizer"] for each in fewer.trials} == {"SGD"}


def test_another_search_or_other_steps_are_no_grid(url, run, search_for, spec_of):
    run(url, search_for(), 3)
    assert grid_trials(url, spec_of("search"), BOTH, searched="search") is None
    assert grid_trials(url, spec_of("search"), BOTH, searched="another") is None
    with Store.open(url) as store:
        run_sweep(store, Grid(spec_of("held")), Here())
    longer = with_overrides(spec_of("held"), steps=7)
    assert grid_trials(url, longer, BOTH, searched="search") is None


def test_a_presets_committed_results_stand_in_for_it(url):
    spec = with_overrides(load_preset("remedies"), set=["optimizer=SGD", "seed=0"])
    found = grid_trials(url, spec, BOTH, searched="search")
    assert found.where == "results/reference/remedies"
    assert {(t.row["optimizer"], t.row["seed"]) for t in found.trials} == {("SGD", 0)}


@pytest.mark.parametrize("name", ["nowhere", "../reference/remedies"])
def test_a_grid_that_is_nowhere_is_none(url, spec_of, name):
    assert grid_trials(url, spec_of(name), BOTH, searched="search") is None
