"""`leaksweep edge`, as a person runs it."""

import csv

import numpy as np
import pytest

from sweep.store.query import sweep_status
from sweep.trial.training import Training
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import ZeroGrad

SPEC = """
name = "mine"
workload = "small"
steps = 4

[[grid]]
optimizer = ["SGD"]
lr = [0.1]
momentum = [0.0]
zero_grad = ["zero"]
"""
NAME = "mine-edge-weight_decay"
DECAY = ("--range", "1e-10:1e-2:log")
HERE = ("--jobs", "1")


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPEC)
    return path


def along(spec, axis="weight_decay", options=DECAY):
    """The words that look along ``axis`` from the spec."""
    return (axis, spec, *options)


@pytest.fixture
def db(tmp_path, monkeypatch):
    """A database that is not there yet, named by LEAKSWEEP_DB."""
    monkeypatch.setenv("LEAKSWEEP_DB", f"sqlite:///{tmp_path}/new.db")
    return f"sqlite:///{tmp_path}/new.db"


def half_an_ulp_of_the_weights(lr, seed):
    """The weight decay at which lr * decay * |p| is half a unit in the last place of some p."""
    planned = PlannedTrial(Setting("SGD", lr, 0.0, 0.0, ZeroGrad.ZERO, seed=seed), "small", 4)
    training, least = Training(planned), []
    for step in range(4):
        training.begin(step)
        if training.frozen:
            weights = training.frozen_parameters["layer1.weight"].detach().abs().numpy()
            least.append((np.spacing(weights).astype(float) / 2 / weights.astype(float)).min())
        training.backward()
        training.step()
        training.clear_grads()
    return min(least) / lr


def test_decay_moves_a_bit_from_half_a_unit_in_the_last_place_on(leaksweep, db, spec, tmp_path):
    ended = leaksweep("edge", *along(spec), "--set", "seed=0,1", *HERE, "--out", tmp_path / "o")
    assert ended.code == 0, ended.err
    assert ended.out.lstrip().startswith(f"{NAME}: where along weight_decay the verdict changes")
    with (tmp_path / "o" / "edges.csv").open() as file:
        edges = list(csv.DictReader(file))
    assert [edge["seed"] for edge in edges] == ["0", "1"]
    for seed, edge in enumerate(edges):
        below, above = float(edge["below"]), float(edge["above"])
        assert (edge["verdict_below"], edge["verdict_above"]) == ("holds", "leaks")
        assert below < half_an_ulp_of_the_weights(0.1, seed) <= above
        assert 0 < above - below <= 1e-6 * above
    assert (tmp_path / "o" / "edges.svg").read_text().startswith("<svg")


def test_what_every_edge_has_in_common_is_said(leaksweep, db, spec):
    shown = leaksweep("edge", *along(spec), "--set", "seed=0,1", *HERE).out
    said = "In every row: optimizer SGD, lr 0.1, momentum 0, zero_grad zero, schedule alternate"
    assert said in " ".join(shown.split())


def test_the_same_command_again_runs_nothing_and_says_the_same(leaksweep, db, spec):
    first = leaksweep("edge", *along(spec), *HERE)
    done = [(s.name, s.planned, s.done) for s in sweep_status(db)]
    second = leaksweep("edge", *along(spec), *HERE)
    assert second.out == first.out
    assert f"{NAME}: ran 0 trials in" in second.err
    assert done == [(NAME, done[0][2], done[0][2])]
    assert [(s.name, s.planned, s.done) for s in sweep_status(db)] == done


def test_an_interrupted_edge_goes_on_from_what_is_recorded(leaksweep, db, spec, monkeypatch):
    from sweep.searching import edge

    whole = leaksweep("edge", *along(spec), *HERE, "--name", "whole")
    calls = iter(range(1000))

    def stop(*arguments):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return halved(*arguments)

    halved = edge._halved
    monkeypatch.setattr(edge, "_halved", stop)
    assert leaksweep("edge", *along(spec), *HERE).code == 130
    monkeypatch.setattr(edge, "_halved", halved)
    ended = leaksweep("edge", *along(spec), *HERE)
    assert ended.out.splitlines()[2:] == whole.out.splitlines()[2:]
    recorded = {s.name: s.done for s in sweep_status(db)}
    assert recorded[NAME] == recorded["whole"]


def test_no_edge_is_said_to_be_none(leaksweep, db, spec):
    ended = leaksweep("edge", *along(spec, options=("--range", "1e-3:1e-2")), *HERE)
    assert (ended.code, ended.out) == (0, "")
    assert (
        f"{NAME}: no edge along weight_decay: the verdict is leaks at all of the values tried "
        "from 0.001 to 0.01."
    ) in ended.err


def test_its_database_is_read_like_any_other(leaksweep, db, spec, tmp_path):
    leaksweep("edge", *along(spec), *HERE)
    assert leaksweep("export", "--out", tmp_path / "tables").code == 0
    assert leaksweep("report", "--out", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    repeat = "edge weight_decay repeat.toml --name mine-edge-weight_decay --range 1e-10:0.01:log"
    assert f"{repeat} --points 13 --tolerance 1e-06" in page
    ended = leaksweep("run", spec, "--name", NAME, *HERE)
    assert ended.code == 2
    assert "it was searched, and has no grid" in ended.err


def test_points_and_tolerance_are_what_was_asked_for(leaksweep, db, spec, tmp_path):
    words = ("--points", 3, "--tolerance", 0.5, "--out", tmp_path, *HERE)
    ended = leaksweep("edge", *along(spec), *words)
    assert ended.code == 0, ended.err
    with (tmp_path / "edges.csv").open() as file:
        (found,) = csv.DictReader(file)
    below, above = float(found["below"]), float(found["above"])
    assert 0.1 * above < above - below <= 0.5 * above
    again = leaksweep("edge", *along(spec), *HERE)
    assert again.code == 2
    assert "its points is 3, not 13" in again.err


@pytest.mark.slow
def test_a_trial_over_the_limit_is_stopped_and_has_failed(leaksweep, db, spec):
    slow = ("--set", "optimizer=faulty:Hangs", "--points", 2, "--steps", 40)
    ended = leaksweep("edge", *along(spec), *slow, "--trial-timeout", 3, "--jobs", 1)
    assert ended.code == 1
    assert f"2 of them failed. `leaksweep table failures {NAME}` says why" in ended.err
    assert [s.failed for s in sweep_status(db)] == [2]


@pytest.mark.parametrize(
    ("axis", "words", "message"),
    [
        ("zero_grad", (), "A verdict's edge is along lr, weight_decay, momentum; 'zero_grad' came"),
        ("eps", (), "A verdict's edge is along lr, weight_decay, momentum; 'eps' came"),
        ("lr", ("--range", "1:0.1"), "the first must be less than the second"),
        ("lr", ("--range", "lr=0.1:1"), "needs LO:HI, two numbers"),
        ("lr", ("--set", "lr=1"), "has values from --set lr=..., too"),
        (
            "momentum",
            ("--set", "optimizer=Adagrad"),
            "There is no momentum in the settings of Adagrad.",
        ),
        (
            "lr",
            ("--set", f"seed={','.join(map(str, range(1001)))}"),
            "each of 1,001 settings; at most 1,000",
        ),
        ("lr", ("--points", "1"), "--points"),
        ("lr", ("--points", "2000"), "--points takes whole numbers from 2 to 1,000; 2000 came"),
        ("lr", ("--tolerance", "nan"), "--tolerance is a part of the value, between 0 and 1"),
        ("lr", ("--tolerance", "1"), "such as 1e-06; 1 came"),
        ("lr", ("--trial-timeout", "0"), "--trial-timeout"),
        ("lr", ("--preset", "full"), "Both a spec"),
        ("lr", ("--trials", "9"), "No such option"),
        ("lr", ("--seed", "1"), "No such option"),
        ("lr", ("--objective", "max_drift"), "No such option"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, tuple) else None,
)
def test_bad_use_is_told_before_anything_is_written(
    leaksweep, db, spec, tmp_path, axis, words, message
):
    ended = leaksweep("edge", axis, spec, *words)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert not (tmp_path / "new.db").exists()


def test_a_search_has_no_edges(leaksweep, db, spec):
    ended = leaksweep("search", spec, "--edge", "lr")
    assert (ended.code, "No such option" in ended.err) == (2, True)
