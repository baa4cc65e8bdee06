"""`leaksweep search --edge`, as a person runs it."""

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
DECAY = ("--edge", "weight_decay", "--range", "weight_decay=1e-10:1e-2:log")
HERE = ("--jobs", "1")


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPEC)
    return path


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
    ended = leaksweep("search", spec, *DECAY, "--set", "seed=0,1", *HERE, "--out", tmp_path / "o")
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


def test_the_same_command_again_runs_nothing_and_says_the_same(leaksweep, db, spec):
    first = leaksweep("search", spec, *DECAY, *HERE)
    done = [(s.name, s.planned, s.done) for s in sweep_status(db)]
    second = leaksweep("search", spec, *DECAY, *HERE)
    assert second.out == first.out
    assert f"{NAME}: ran 0 trials in" in second.err
    assert done == [(NAME, done[0][2], done[0][2])]
    assert [(s.name, s.planned, s.done) for s in sweep_status(db)] == done


def test_an_interrupted_edge_goes_on_from_what_is_recorded(leaksweep, db, spec, monkeypatch):
    from sweep.searching import edge

    whole = leaksweep("search", spec, *DECAY, *HERE, "--name", "whole")
    calls = iter(range(1000))

    def stop(*arguments):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return halved(*arguments)

    halved = edge._halved
    monkeypatch.setattr(edge, "_halved", stop)
    assert leaksweep("search", spec, *DECAY, *HERE).code == 130
    monkeypatch.setattr(edge, "_halved", halved)
    ended = leaksweep("search", spec, *DECAY, *HERE)
    assert ended.out.splitlines()[2:] == whole.out.splitlines()[2:]
    recorded = {s.name: s.done for s in sweep_status(db)}
    assert recorded[NAME] == recorded["whole"]


def test_no_edge_is_said_to_be_none(leaksweep, db, spec):
    ended = leaksweep("search", spec, *DECAY[:3], "weight_decay=1e-3:1e-2", *HERE)
    assert (ended.code, ended.out) == (0, "")
    assert (
        f"{NAME}: no edge along weight_decay: the verdict is leaks at all of the values tried "
        "from 0.001 to 0.01."
    ) in ended.err


def test_its_database_is_read_like_any_other(leaksweep, db, spec, tmp_path):
    leaksweep("search", spec, *DECAY, *HERE)
    assert leaksweep("export", "--out", tmp_path / "tables").code == 0
    assert leaksweep("report", "--out", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "search repeat.toml --name mine-edge-weight_decay --edge weight_decay --range" in page
    ended = leaksweep("run", spec, "--name", NAME, *HERE)
    assert ended.code == 2
    assert "it was searched, and has no grid" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--edge", "zero_grad"), "a verdict's edge is along lr, weight_decay, momentum"),
        (("--edge", "eps"), "--edge eps: a verdict's edge is along lr, weight_decay, momentum"),
        (("--edge", "lr", "--range", "momentum=0:0.9"), "--edge lr takes one range, that of lr"),
        (("--edge", "lr", "--range", "lr=1:0.1"), "the first must be less than the second"),
        (("--edge", "momentum", "--set", "optimizer=Adagrad"), "Adagrad has no momentum"),
        ((*DECAY, "--objective", "max_drift"), "leave --objective and --sampler out"),
        ((*DECAY, "--set", f"seed={','.join(map(str, range(1001)))}"), "1,001 settings; at most"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, tuple) else None,
)
def test_bad_use_is_told_before_anything_is_written(leaksweep, db, spec, tmp_path, words, message):
    ended = leaksweep("search", spec, *words)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert not (tmp_path / "new.db").exists()
