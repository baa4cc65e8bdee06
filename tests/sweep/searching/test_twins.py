"""What a leak costs: each proposed trial beside the same one with its layer kept still."""

from dataclasses import replace

import pytest
from here import Here

from sweep.errors import MisuseError
from sweep.searching.objective import (
    Objective,
    check_scored,
    score_change,
    twin_of,
    values,
)
from sweep.searching.search import rebuilt
from sweep.searching.study import quiet_optuna, recorded_rows
from sweep.store.query import sweep_status
from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Axis, Freeze, Sampler, Verdict, ZeroGrad

SCORE = [Objective.SCORE]
LEAKING = PlannedTrial(Setting("Adam", 0.01, 0.1, 0.9, ZeroGrad.ZERO), "digits", 8)


def row(verdict, score, **changed):
    return {"verdict": verdict, "score": score, "diverged": False} | changed


@pytest.mark.parametrize(
    ("trial", "twin", "change"),
    [
        (row("leaks", 0.5), row("holds", 0.75), -0.25),
        (row("leaks", 0.75), row("holds", 0.5), 0.25),
        (row("holds", 0.5), None, 0.0),
        (row("holds", None), None, None),
        (row("leaks", 0.5), None, None),
        (row("leaks", 0.5), row("leaks", 0.75), None),
        (row("leaks", 0.5), row("failed", None), None),
        (row("leaks", None), row("holds", 0.75), None),
        (row("leaks", 0.5), row("holds", None), None),
        (row("inert", 0.5), row("holds", 0.75), None),
    ],
)
def test_a_leak_costs_what_its_twin_scores_more(trial, twin, change):
    assert score_change(trial, twin) == change


def test_a_twin_is_found_by_its_fingerprint():
    axes = {axis: getattr(LEAKING.setting, axis) for axis in Axis}
    plan = {"workload": LEAKING.workload, "steps": LEAKING.steps, "options": LEAKING.options}
    leaking = row("leaks", 0.5, **axes, **plan)
    known = {twin_of(LEAKING).fingerprint: row("holds", 0.75)}
    assert values(leaking, SCORE, known) == (-0.25,)
    assert values(leaking, SCORE, {}) is None
    assert values(leaking | {"freeze": "sometimes"}, SCORE, known) is None
    assert values(leaking | {"diverged": True}, SCORE, known) is None


def test_a_twin_differs_in_the_remedy_alone():
    twin = twin_of(LEAKING)
    assert twin == replace(LEAKING, setting=replace(LEAKING.setting, freeze=Freeze.GRAD_NONE))
    assert twin_of(twin) is None
    assert (run_trial(LEAKING).verdict, run_trial(twin).verdict) == (Verdict.LEAKS, Verdict.HOLDS)


def test_only_a_workload_with_a_score_is_searched_for_one():
    check_scored("digits", SCORE)
    check_scored("small", [Objective.DRIFT_RATIO])
    with pytest.raises(MisuseError, match="a workload with a score, and small has none"):
        check_scored("small", SCORE)


@pytest.fixture
def search(search_for):
    """Makes a search for the leak that costs most, of trials of a few steps on digits."""

    def make(sampler=Sampler.TPE):
        found = search_for(SCORE, sampler, ["lr=1e-3:0.1:log", "weight_decay"], optimizers=["Adam"])
        spec = found.spec.model_copy(update={"workload": "digits", "stated_steps": 12})
        return replace(found, spec=spec)

    return make


def proposed(url):
    """What was proposed, in that order, and what each leak did to the score."""
    rows = recorded_rows(url, "search")
    known = {each["fingerprint"]: each for each in rows}
    return sorted(
        (each["proposal"], each["fingerprint"], *(values(each, SCORE, known) or (None,)))
        for each in rows
        if each["proposal"] is not None
    )


def test_each_leaking_trial_has_its_twin_beside_it(url, run, search):
    _, progress = run(url, search(), 6)
    rows = recorded_rows(url, "search")
    known = {each["fingerprint"]: each for each in rows}
    leaking = [each for each in rows if each["proposal"] and each["verdict"] == "leaks"]
    assert leaking
    for each in leaking:
        setting = Setting(**{axis: each[axis] for axis in Axis})
        planned = PlannedTrial(setting, *(each[n] for n in ("workload", "steps", "options")))
        twin = known[twin_of(planned).fingerprint]
        assert (twin["verdict"], twin["proposal"], twin["freeze"]) == ("holds", None, "grad_none")
    assert len(proposed(url)) == 6
    assert progress.finished == len(rows) == sweep_status(url)[0].planned


@pytest.mark.parametrize("sampler", [Sampler.TPE, Sampler.NSGAII, Sampler.CMAES])
def test_a_search_for_cost_that_is_resumed_is_the_one_that_was_not(
    url, other, run, search, sampler, monkeypatch
):
    monkeypatch.setattr("sweep.searching.samplers.POPULATION", 3)
    for trials in (3, 1, 8):
        run(url, search(sampler), trials)
    run(other, search(sampler), 12)
    assert len(proposed(url)) == 12
    assert proposed(url) == proposed(other)


@pytest.mark.parametrize("after", range(1, 6))
def test_an_interruption_between_a_twin_and_its_trial_changes_nothing(
    url, other, run, search, after
):
    with pytest.raises(KeyboardInterrupt):
        run(url, search(), 4, Here(run_trial=Interrupted(after)))
    run(url, search(), 4 - len(proposed(url)))
    run(other, search(), 4)
    assert proposed(url) == proposed(other)


class Interrupted:
    """Runs so many trials; then somebody presses Ctrl-C."""

    def __init__(self, after):
        self.left = after

    def __call__(self, planned):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return run_trial(planned)


def test_the_study_knows_proposed_trials_alone(url, run, search):
    run(url, search(), 5)
    with quiet_optuna():
        study = rebuilt(url, search(), search().space()).study
    changes = [change for *_, change in proposed(url)]
    assert [t.value for t in study.get_trials()] == changes
    assert all(change is not None for change in changes)
