"""Searches of real trials in this process: recorded once, resumed from the database alone."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import count

import pytest
from here import Here

from sweep.driver import run_sweep
from sweep.errors import DatabaseError, MisuseError, SweepMismatchError
from sweep.grid import Grid
from sweep.searching.claims import claim_search
from sweep.searching.objective import Objective
from sweep.searching.search import rebuilt
from sweep.searching.study import quiet_optuna, recorded_rows
from sweep.store.query import run_query, sweep_status
from sweep.store.store import Store
from sweep.trial.trial import run_trial
from sweep.values.words import Sampler, Verdict
from sweep.verifying.rerun import replayed
from sweep.verifying.trial_sources import open_trials

SETTINGS = "SELECT optimizer, lr, weight_decay, momentum, zero_grad, drift_ratio FROM trial"
HERE = Here()


def settings(url):
    """What was run, in the order of the ids."""
    with run_query(url, f"{SETTINGS} ORDER BY id") as rows:
        return sorted(rows, key=repr)


def in_their_order(url):
    """What was proposed, run and kept, by the numbers of the proposals."""
    with run_query(url, "SELECT optimizer, schedule, zero_grad, proposal FROM trial") as rows:
        return sorted(rows, key=lambda row: json.loads(row[-1])["number"])


def claim(store, search):
    return claim_search(store, search.spec, search.how())


def change(url, statement):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize("sampler", list(Sampler))
def test_a_search_that_is_resumed_is_the_search_that_was_not(
    url, other, run, search_for, sampler, monkeypatch
):
    monkeypatch.setattr("sweep.searching.samplers.POPULATION", 3)
    search = search_for(sampler=sampler, ranges=["lr", "eps"], optimizers=["Adam", "Adagrad"])
    run(url, search, 8)
    run(url, search, 6)
    run(other, search, 14)
    assert len(settings(url)) == 14
    assert settings(url) == settings(other)
    for each in replayed(open_trials(url), range(1, 15), HERE):  # each trained as it says
        assert each.agrees


@pytest.mark.parametrize("sampler", [Sampler.QMC, Sampler.NSGAII, Sampler.CMAES, Sampler.RANDOM])
def test_so_it_is_where_most_proposals_are_known_settings(
    url, other, run, search_for, sampler, monkeypatch
):
    monkeypatch.setattr("sweep.searching.samplers.POPULATION", 4)
    search = search_for(sampler=sampler, ranges=["period=2:8"], optimizers=["Adam"])
    for trials in (3, 5, 1, 1):
        run(url, search, trials)
    run(other, search, 10)
    assert len(settings(url)) == 10
    assert in_their_order(url) == in_their_order(other)
    last = json.loads(in_their_order(url)[-1][-1])
    assert last["number"] > 9  # known settings were proposed in between


def test_what_the_sampler_keeps_is_recorded_with_the_trial(url, run, search_for, monkeypatch):
    monkeypatch.setattr("sweep.searching.samplers.POPULATION", 2)
    run(url, search_for(sampler=Sampler.NSGAII, optimizers=["Adam"]), 5)
    kept = [json.loads(row[-1]) for row in in_their_order(url)]
    assert [each["number"] for each in kept] == [0, 1, 2, 3, 4]
    assert [each["trial"]["NSGAIISampler:generation"] for each in kept] == [0, 0, 1, 1, 2]
    assert [sorted(each.get("study", ())) for each in kept] == [
        *([], [], ["NSGAIISampler:parent:1"], [], ["NSGAIISampler:parent:2"])
    ]


@pytest.mark.parametrize("sampler", list(Sampler))
def test_a_search_whose_proposals_were_not_recorded_goes_on(url, run, search_for, sampler):
    search = search_for(sampler=sampler, ranges=["lr", "eps"], optimizers=["Adam"])
    run(url, search, 5)
    change(url, "UPDATE trial SET proposal = NULL")
    run(url, search, 5)
    assert len(settings(url)) == 10


@pytest.mark.parametrize(
    ("proposal", "message"),
    [
        ("[", "could not have proposed .*Invalid JSON"),
        ('{"number": 1000000000000}', "could not have proposed .*is number 1000000000000"),
        ('{"number": 3, "trial": {"x": "gASVKA=="}}', "could not have proposed .*valid integer"),
        (
            '{"number": 999, "trial": {"NSGAIISampler:generation": 999}}',
            "cannot go on from what is recorded of it: RecursionError",
        ),
    ],
    ids=["no JSON", "a huge number", "a text", "a generation without parents"],
)
def test_proposals_of_anothers_making_are_told_in_one_message(
    url, run, search_for, proposal, message, monkeypatch
):
    monkeypatch.setattr("sweep.searching.samplers.POPULATION", 2)
    search = search_for(sampler=Sampler.NSGAII)
    run(url, search, 6)
    change(url, f"UPDATE trial SET proposal = '{proposal}' WHERE id = 6")
    with pytest.raises(DatabaseError, match=message):
        run(url, search, 1)


def test_another_seed_proposes_other_settings(url, other, run, search_for):
    run(url, search_for(), 4)
    run(other, search_for(seed=1), 4)
    assert settings(url) != settings(other)


def test_the_spec_says_how_it_was_searched(url, run, search_for):
    search = search_for([Objective.DRIFT_RATIO, Objective.FINAL_LOSS], Sampler.NSGAII, ["lr"], 7)
    run(url, search, 2)
    with Store.open(url) as store:
        recorded = store.sweep("search")
    spec = json.loads(recorded.spec)
    assert (recorded.planned, spec["kind"], spec["workload"]) == (2, "search", "small")
    assert spec["search"] == {
        "objectives": ["drift_ratio", "final_loss"],
        "ranges": ["lr=0.0001:1.0:log"],
        "sampler": "nsgaii",
        "seed": 7,
    }


def test_the_study_is_rebuilt_with_every_state(url, run, search_for):
    search = search_for(optimizers=["SGD", "faulty:RaisesAtStep7"], ranges=["lr=0.1:1e12:log"])
    search = replace(search, spec=search.spec.model_copy(update={"stated_steps": 9}))
    run(url, search, 16)
    study = rebuilt(url, search, search.space()).study
    rows = recorded_rows(url, "search")
    states = [trial.state.name for trial in study.trials]
    assert states == [
        "FAIL" if r["verdict"] == "failed" else "PRUNED" if r["diverged"] else "COMPLETE"
        for r in rows
    ]
    assert set(states) == {"FAIL", "PRUNED", "COMPLETE"}


def test_failed_trials_are_recorded_once_and_never_proposed_again(url, run, search_for):
    search = search_for(optimizers=["faulty:RaisesAtStep7"], ranges=["lr"])
    search = replace(search, spec=search.spec.model_copy(update={"stated_steps": 9}))
    run(url, search, 3)
    _, progress = run(url, search, 3)
    assert progress.ran == {Verdict.FAILED: 3}
    assert [s.failed for s in sweep_status(url)] == [6]


def test_a_space_that_has_no_more_ends_the_search(url, run, search_for):
    search = search_for(optimizers=["SGD"], ranges=["period=2:4"], sampler=Sampler.RANDOM)
    dialogue, _ = run(url, search, 20)
    assert dialogue.exhausted
    assert len(settings(url)) == 6  # three periods, two ways of clearing grads
    assert [(s.planned, s.remaining) for s in sweep_status(url)] == [(6, 0)]


def test_a_search_knows_its_rate_of_late(url, run, search_for, monkeypatch):
    monkeypatch.setattr("sweep.driver.LATELY_S", 1e-3)  # so that each of these counts
    _, progress = run(url, search_for(optimizers=["SGD"]), 3)
    assert progress.finished == 3
    assert progress.a_second > 0


class _Interrupted:
    """Runs trials until it has run so many; then somebody presses Ctrl-C."""

    def __init__(self, after):
        self._left = count(after, -1)

    def __call__(self, planned):
        if next(self._left) == 0:
            raise KeyboardInterrupt
        return run_trial(planned)


def test_an_interruption_keeps_what_finished_and_leaves_the_rest_to_do(url, other, run, search_for):
    search = search_for()
    with pytest.raises(KeyboardInterrupt):
        run(url, search, 9, replace(HERE, run_trial=_Interrupted(4)))
    assert [(s.done, s.remaining) for s in sweep_status(url)] == [(4, 5)]
    run(url, search, 5)
    run(other, search, 9)
    assert settings(url) == settings(other)


def test_workers_are_asked_one_by_one_and_lose_nothing(url, run, search_for):
    proposed = []

    def noted(planned):
        proposed.append(planned.fingerprint)
        return run_trial(planned)

    run(url, search_for(), 6, replace(HERE, run_trial=noted))
    with run_query(url, "SELECT fingerprint FROM trial") as rows:
        assert sorted(proposed) == sorted(fingerprint for (fingerprint,) in rows)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"sampler": Sampler.QMC}, "its sampler is tpe, not qmc"),
        ({"objectives": (Objective.FINAL_LOSS,)}, "its objectives is drift_ratio, not final_loss"),
        ({"ranges": {}}, "its ranges is lr=0.0001:1.0:log"),
    ],
    ids=str,
)
def test_another_search_is_refused_the_name(url, run, search_for, changed, message):
    run(url, search_for(), 1)
    with pytest.raises(MisuseError, match=message), Store.open(url) as store:
        claim(store, replace(search_for(), **changed))


def test_another_grid_workload_or_sweep_is_refused_the_name(url, run, search_for, spec_of):
    with Store.open(url) as store:
        run_sweep(store, Grid(spec_of("held", ["SGD"])), HERE)
        with pytest.raises(MisuseError, match="it is no search, and a search is a sweep"):
            claim(store, search_for(name="held"))
        claim(store, search_for())
        with pytest.raises(MisuseError, match="its spec has other values or options"):
            claim(store, search_for(optimizers=["SGD"]))
        longer = search_for().spec.model_copy(update={"stated_steps": 9})
        with pytest.raises(MisuseError, match="its steps is 6, not 9"):
            claim(store, replace(search_for(), spec=longer))


def test_a_sweep_does_not_extend_a_search(url, run, search_for, spec_of):
    run(url, search_for(), 1)
    with (
        Store.open(url) as store,
        pytest.raises(SweepMismatchError, match="it was searched, and has no grid"),
    ):
        run_sweep(store, Grid(spec_of("search")), HERE)


def test_trials_that_no_search_proposes_are_told(url, run, search_for):
    narrow = search_for(ranges=["lr=0.5:0.6"])
    run(url, search_for(ranges=["lr=0.01:0.1"]), 1)
    with quiet_optuna(), pytest.raises(DatabaseError, match="that the search could not have"):
        rebuilt(url, narrow, narrow.space())


def test_every_trial_replays_to_the_same_bits(url, run, search_for):
    run(url, search_for(ranges=["lr", "beta2", "eps", "period"]), 8)
    records = open_trials(url)
    compared = list(replayed(records, records.numbers, HERE, allow_import=False))
    assert len(compared) == 8
    assert all(each.agrees and not each.bits for each in compared)
