"""What a watch records, as SQL, views and tables see it."""

import json

import pytest
import torch

from analysis.load import load_trials
from sweep import watch
from sweep.errors import MisuseError, SweepMismatchError
from sweep.store.query import run_query


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'watched.db'}"


@pytest.fixture
def leaks(model, train):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    with watch(model, optimizer) as leaks:
        train(model, optimizer, to_none=False)
    return leaks


def rows(url, query):
    with run_query(url, query) as result:
        return list(result)


def test_each_quiet_parameter_becomes_a_trial_and_each_leak_a_step(leaks, url):
    leaks.save(url, "mine")
    trials = load_trials(url, "mine")
    assert len(trials) == 2
    for _, trial in trials.iterrows():
        assert json.loads(trial["options"])["parameter"] in {"first.weight", "first.bias"}
        assert trial[["optimizer", "lr", "weight_decay", "momentum"]].tolist() == [
            "AdamW",
            0.1,
            0.5,
            0.9,
        ]
        assert trial[["workload", "zero_grad", "schedule", "freeze"]].tolist() == [
            "watch",
            "zero",
            "own",
            "own",
        ]
        assert trial[["verdict", "steps", "frozen_steps", "leaked_steps"]].tolist() == [
            "leaks",
            6,
            3,
            3,
        ]
        assert trial["by_history"]
        assert trial["by_decay"]
        assert not trial["by_gradient"]
    assert rows(url, "SELECT DISTINCT causes FROM leak") == [("decay, history",)]
    assert rows(url, "SELECT step, count(*) FROM step GROUP BY step") == [(1, 2), (3, 2), (5, 2)]
    (spec,) = rows(url, "SELECT spec FROM sweep")[0]
    assert json.loads(spec)["kind"] == "watch"


def test_the_drift_is_the_sum_of_the_leaks(leaks, url):
    leaks.save(url, "mine")
    weight = [leak for leak in leaks.leaks if leak.parameter == "first.weight"]
    trials = load_trials(url, "mine")
    trial = trials[trials["options"].str.contains("first.weight")].iloc[0]
    assert trial["max_drift"] == max(leak.change.max_change for leak in weight)
    assert trial["total_drift"] == sum(leak.change.l2 for leak in weight)


def test_what_held_is_recorded_as_holding(model, train, url):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer) as leaks:
        train(model, optimizer)
    leaks.save(url, "held")
    trials = load_trials(url, "held")
    assert set(trials["verdict"]) == {"holds"}
    assert set(trials["zero_grad"]) == {"none"}
    assert trials["by_history"].isna().all()


@pytest.mark.parametrize("name", ["", "a\nb", "n" * 201, None])
def test_a_name_that_is_none_is_refused_and_no_database_made(leaks, tmp_path, name):
    with pytest.raises(MisuseError, match=r"cannot be named .*: a name is 1 to 200 characters"):
        leaks.save(f"sqlite:///{tmp_path / 'new.db'}", name)
    assert not (tmp_path / "new.db").exists()


def test_a_name_that_is_taken_is_refused_and_nothing_changes(leaks, url):
    leaks.save(url, "mine")
    before = rows(url, "SELECT * FROM trial")
    with pytest.raises(SweepMismatchError, match=r"has a sweep named 'mine'.*recorded once"):
        leaks.save(url, "mine")
    assert rows(url, "SELECT * FROM trial") == before
    leaks.save(url, "another")
    assert rows(url, "SELECT count(*) FROM sweep") == [(2,)]


def test_an_optimizer_of_ones_own_is_recorded_by_its_address(model, train, url):
    class Own(torch.optim.SGD):
        pass

    optimizer = Own(model.parameters(), lr=torch.tensor(0.25), momentum=0.5)
    with watch(model, optimizer) as leaks:
        train(model, optimizer, to_none=False)
    leaks.save(url, "own")
    trial = load_trials(url, "own").iloc[0]
    assert trial["optimizer"].endswith(".Own")
    assert trial[["lr", "momentum"]].tolist() == [0.25, 0.5]


def test_a_grid_is_not_run_under_the_name_of_a_watch(leaks, url, leaksweep):
    leaks.save(url, "mine")
    refused = leaksweep("run", "--workload", "small", "--name", "mine", "--db", url)
    assert refused.code == 2
    assert "it is what `watch` saw of a training loop" in refused.err


def test_why_says_that_a_watched_loop_is_not_there_to_be_replayed(leaks, url, leaksweep):
    leaks.save(url, "mine")
    refused = leaksweep("why", "1", "--db", url)
    assert refused.code == 2
    assert "Trial 1 is what `watch` saw of a training loop" in refused.err
