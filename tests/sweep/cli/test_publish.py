"""`leaksweep publish` and `leaksweep adopt`, as a person runs them."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from sweep.store.query import run_query, sweep_status
from sweep.store.store import Store


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.fixture
def theirs(storage):
    """A storage with a study of two trials that somebody ran, of one setting each."""
    study = optuna.create_study(study_name="theirs", storage=storage)
    kinds = {
        "optimizer": CategoricalDistribution(["SGD", "Adagrad"]),
        "lr": FloatDistribution(0.01, 1.0),
        "zero_grad": CategoricalDistribution(["zero"]),
        "momentum": FloatDistribution(0.0, 0.9),
    }
    for value, optimizer in ((0.25, "SGD"), (0.75, "Adagrad")):
        params = {"optimizer": optimizer, "lr": 0.5, "zero_grad": "zero", "momentum": 0.9}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=value))
    return storage


def test_a_sweep_goes_to_optuna_and_comes_back(leaksweep, url, storage, tmp_path):
    first = leaksweep("publish", "held", "--storage", storage)
    again = leaksweep("publish", "held", "--storage", storage)
    assert (first.code, again.code) == (0, 0)
    assert f"Added 8 trials to the study 'held' in {storage}; 0 were there." in first.err
    assert f"optuna-dashboard {storage}" in first.err
    assert "Added 0 trials to the study 'held'" in again.err
    copy = f"sqlite:///{tmp_path / 'copy.db'}"
    back = leaksweep("adopt", "--storage", storage, "--db", copy)
    assert (back.code, back.out) == (0, "")
    assert f"The sweep 'held' has 8 trials of it in {copy}." in back.err
    rows = "SELECT fingerprint, verdict, drift_ratio, finished_at FROM trial"
    with run_query(copy, rows) as here, run_query(url, rows) as there:
        assert set(here) <= set(there)


def test_failed_trials_are_published(leaksweep, url, storage):
    assert leaksweep("publish", "with failures", "--storage", storage).code == 0
    states = [t.state.name for t in optuna.load_study(study_name=None, storage=storage).trials]
    assert sorted(set(states)) == ["COMPLETE", "FAIL"]


def test_another_studys_trials_are_run_and_its_values_put_beside(leaksweep, theirs, tmp_path):
    db = f"sqlite:///{tmp_path / 'new.db'}"
    words = ("adopt", "--storage", theirs, "--workload", "small", "--steps", 6, "--db", db)
    done = leaksweep(*words, "--name", "mine", "--jobs", 1)
    assert done.code == 0, done.err
    (title, _, _, *rows) = [line.split() for line in done.out.splitlines() if line.strip()]
    assert title[0] == "mine:"
    assert [row[:4] for row in rows] == [
        ["0", "0.25", "SGD", "leaks"],
        ["1", "0.75", "Adagrad", "holds"],
    ]
    assert [(s.name, s.done, s.planned) for s in sweep_status(db)] == [("mine", 2, 2)]
    assert leaksweep(*words, "--name", "mine", "--jobs", 1).out == done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("publish", "held"), "--storage"),
        (("publish", "--storage", "sqlite:///x.db"), "Which sweep? The database has 'held'"),
        (("publish", "held", "--storage", "sqlite:x.db"), "is no database URL"),
        (("publish", "held", "--storage", "{}", "--objective", "loss"), "--objective"),
        (("adopt", "--storage", "{}", "--study", "his"), "No study is named 'his'"),
        (("adopt", "--storage", "{}", "--optimizer", "Adma"), "Unknown optimizer 'Adma'"),
        (("adopt", "--storage", "{}", "--steps", "0"), "--steps"),
    ],
)
def test_misuse_is_told_in_one_message_and_writes_nothing(leaksweep, url, theirs, words, message):
    before = sweep_status(url)
    ended = leaksweep(*(word.format(theirs) for word in words))
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert sweep_status(url) == before


def test_a_published_study_takes_no_other_workload(leaksweep, url, storage):
    leaksweep("publish", "held", "--storage", storage)
    ended = leaksweep("adopt", "--storage", storage, "--workload", "small")
    assert ended.code == 2
    assert "is a published sweep, whose trials are recorded as they ran" in ended.err


def test_what_was_added_to_a_published_study_is_counted(leaksweep, url, storage, tmp_path):
    leaksweep("publish", "held", "--storage", storage)
    optuna.load_study(study_name="held", storage=storage).add_trial(
        optuna.trial.create_trial(value=1.0)
    )
    copy = f"sqlite:///{tmp_path / 'copy.db'}"
    ended = leaksweep("adopt", "--storage", storage, "--db", copy)
    assert "1 trials that were added to the study since were left out." in ended.err


def test_a_storage_that_is_not_there_ends_with_1(leaksweep, storage):
    ended = leaksweep("adopt", "--storage", storage)
    assert ended.code == 1
    assert "There is no Optuna storage at" in ended.err


def test_a_setting_that_cannot_exist_is_shown_as_left_out(leaksweep, storage, tmp_path):
    study = optuna.create_study(study_name="odd", storage=storage)
    kinds = {
        "optimizer": CategoricalDistribution(["SGD", "LBFGS"]),
        "freeze": CategoricalDistribution(["lr_zero"]),
    }
    for optimizer in ("SGD", "LBFGS"):
        params = {"optimizer": optimizer, "freeze": "lr_zero"}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=1.0))
    db = f"sqlite:///{tmp_path / 'new.db'}"
    words = ("--workload", "small", "--steps", 4, "--jobs", 1, "--db", db)
    ended = leaksweep("adopt", "--storage", storage, *words)
    assert ended.code == 0
    assert ended.out.splitlines()[-1].split() == ["1", "1", "left", "out"]
    with Store.open(db) as store:
        assert store.sweep("odd").planned == 1
