"""Studies of ours and of others, brought in; hostile ones among them."""

import json
import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from sweep.errors import (
    DatabaseError,
    LeaksweepError,
    MisuseError,
    NotThereError,
    SpecError,
    SweepMismatchError,
)
from sweep.publishing.adopt import adopt_published, compared, planned_spec, read_study
from sweep.publishing.publish import publish
from sweep.searching.objective import Objective
from sweep.searching.study import recorded_rows
from sweep.store.models import EnvironmentRow, TrialRow
from sweep.store.query import run_query, sweep_status
from sweep.values.words import ZeroGrad

DRIFT = [Objective.DRIFT_RATIO]
COLUMNS = [
    *(c.name for c in TrialRow.__table__.columns if c.name not in ("id", "environment_id")),
    *(c.name for c in EnvironmentRow.__table__.columns if c.name != "id"),
]
ROWS = """
SELECT {} FROM trial JOIN environment ON environment.id = trial.environment_id
ORDER BY fingerprint
"""
PATH = "UPDATE {} SET {} = ? WHERE {} = ?"


@pytest.fixture(scope="session")
def published_once(tmp_path_factory, record):
    folder = tmp_path_factory.mktemp("published")
    url = record(f"sqlite:///{folder / 'sweep.db'}")
    publish(url, "s", f"sqlite:///{folder / 'optuna.db'}", objectives=DRIFT)
    return folder / "optuna.db"


@pytest.fixture
def published(published_once, tmp_path):
    """The URL of a storage with the study `s`."""
    return f"sqlite:///{shutil.copy(published_once, tmp_path / 'optuna.db')}"


@pytest.fixture
def empty(tmp_path):
    """The URL of a database that is not there yet."""
    return f"sqlite:///{tmp_path / 'adopted.db'}"


@pytest.fixture
def theirs(tmp_path):
    """Makes a study of trials with these parameters and values; its storage's URL comes back."""
    url = f"sqlite:///{tmp_path / 'theirs.db'}"

    def make(*trials, name="theirs"):
        study = optuna.create_study(study_name=name, storage=url, load_if_exists=True)
        given = {key: [p[key] for _, p in trials if key in p] for _, p in trials for key in p}
        kinds = {key: distribution(values) for key, values in given.items()}
        for value, params in trials:
            known = {key: kinds[key] for key in params}
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=known, value=value)
            )
        return url

    return make


def distribution(values):
    """Reals are from a range, and everything else is a category."""
    if any(isinstance(value, float) for value in values):
        return FloatDistribution(0, 10)
    return CategoricalDistribution(list(dict.fromkeys(values)))


def rows(url):
    with run_query(url, ROWS.format(", ".join(COLUMNS))) as found:
        return list(found)


def changed(storage, table, key, value):
    """Sets one attribute of all trials or studies, or a parameter's value."""
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as connection, connection:
        column, where = {
            "trial_user_attributes": ("value_json", "key"),
            "study_user_attributes": ("value_json", "key"),
            "trial_params": ("param_value", "param_name"),
        }[table]
        connection.execute(PATH.format(table, column, where), (value, key))


def test_a_published_sweep_comes_back_to_the_last_bit(url, published, empty):
    adopted = adopt_published(read_study(published), empty)
    assert (adopted.sweep, adopted.trials, adopted.left_out) == ("s", 7, 0)
    assert rows(empty) == rows(url)
    assert sweep_status(empty)[0].planned == 9


def test_adopting_again_changes_nothing(published, empty):
    adopt_published(read_study(published), empty)
    before = rows(empty)
    adopt_published(read_study(published), empty)
    assert rows(empty) == before


def test_a_sweep_can_be_given_another_name(published, empty):
    adopt_published(read_study(published, "s"), empty, name="mine")
    assert [status.name for status in sweep_status(empty)] == ["mine"]
    with run_query(empty, "SELECT spec FROM sweep") as found:
        assert json.loads(next(iter(found))[0])["name"] == "mine"


def test_trials_added_to_a_published_study_are_left_out(published, empty):
    study = optuna.load_study(study_name="s", storage=published)
    study.optimize(lambda trial: trial.suggest_float("lr", 1e-8, 0.1, log=True), n_trials=2)
    assert adopt_published(read_study(published), empty).left_out == 2
    assert len(rows(empty)) == 7


def test_another_sweep_of_that_name_is_left_alone(published, empty, record):
    record(empty, [], planned=1)
    with closing(sqlite3.connect(empty.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("""UPDATE sweep SET spec = '{"name":"s"}'""")
    with pytest.raises(SweepMismatchError, match="planned otherwise than the published one"):
        adopt_published(read_study(published), empty)
    assert rows(empty) == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fingerprint", '"f00"', "Trial 0 has the fingerprint of another setting"),
        ("steps", "21", "Trial 0 has the fingerprint of another setting"),
        ("steps", '"20"', "Trial 0, 'steps': Input should be a valid integer"),
        ("verdict", '"fine"', "Trial 0, 'verdict': Input should be 'leaks', 'holds'"),
        ("verdict", '"holds"', "Trial 0: .*leaks if, and only if, it has leaked_steps"),
        ("error", '"boom"', "Trial 0: .*either failed, with an error, or measures"),
        ("frozen_steps", "null", "Trial 0: .*did not fail has frozen_steps and diverged"),
        ("causes", '["by_magic"]', "Trial 0: .*causes are by_history"),
        ("max_drift", '"' + "9" * 10**6 + '"', "Trial 0, 'max_drift': Input should be a valid num"),
        ("workload", '"' + "w" * 10**6 + '"', "Trial 0, 'workload': String should have at most"),
        ("finished_at", '"yesterday"', "Trial 0, 'finished_at': Input should be a valid datetime"),
        ("torch", '{"a": [1]}', "Trial 0, 'torch': Input should be a valid string"),
    ],
)
def test_what_was_not_published_as_it_stands_is_refused(published, empty, key, value, message):
    changed(published, "trial_user_attributes", key, value)
    with pytest.raises(MisuseError, match=message) as refused:
        adopt_published(read_study(published), empty)
    assert len(str(refused.value)) < 500
    assert not Path(empty.removeprefix("sqlite:///")).exists()


def test_a_parameter_that_was_changed_is_found_by_its_fingerprint(published, empty):
    changed(published, "trial_params", "weight_decay", 0.25)
    with pytest.raises(MisuseError, match="Trial 0 has the fingerprint of another setting"):
        adopt_published(read_study(published), empty)


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("1", "user attribute 'leaksweep' is not what this program writes"),
        ("{}", r"does not say how its sweep was planned: KeyError\('spec'\)"),
        ('{"spec": "[", "planned": 1, "sweep": "s"}', "does not say how its sweep was planned"),
        ('{"spec": "{}", "planned": "x", "sweep": "s"}', "says that x trials were planned"),
        ('{"spec": "{}", "planned": 1, "sweep": "a\\u001b"}', "no name that prints"),
    ],
)
def test_a_mark_that_is_not_ours_is_refused(published, empty, mark, message):
    changed(published, "study_user_attributes", "leaksweep", mark)
    with pytest.raises(MisuseError, match=message):
        adopt_published(read_study(published), empty)


def test_another_studys_settings_become_a_spec(theirs):
    sgd = {"optimizer": "SGD", "lr": 0.5, "zero_grad": "zero", "seed": 3}
    adam = {"optimizer": "Adam", "lr": 1, "momentum": 0}
    study = read_study(theirs((1.0, sgd), (2.0, sgd), (3.0, adam)))
    spec = planned_spec(study, workload="small", steps=9)
    assert (spec.name, spec.workload, spec.steps) == ("theirs", "small", 9)
    first, second = spec.grid
    assert (first.optimizer, first.lr, first.zero_grad, first.seed) == (
        *(("SGD",), (0.5,), (ZeroGrad.ZERO,)),
        (3,),
    )
    assert (second.lr, second.momentum, second.zero_grad) == ((1.0,), (0.0,), (ZeroGrad.NONE,))


def test_the_optimizer_can_be_given(theirs):
    study = read_study(theirs((1.0, {"lr": 0.5})))
    assert planned_spec(study, optimizer="Adam").optimizers == ("Adam",)
    with pytest.raises(MisuseError, match=r"Trial 0 has no parameter 'optimizer'.*--optimizer"):
        planned_spec(study)


@pytest.mark.parametrize(
    ("params", "kind", "message"),
    [
        ({"optimizer": "SGD", "n_layers": 3.0}, MisuseError, "'n_layers' has no axis.*Nothing was"),
        ({"optimizer": "SGD", "momentun": 3.0}, MisuseError, "'momentun'.*mean momentum"),
        ({"'; DROP TABLE trial; --": 1.0}, MisuseError, "DROP TABLE trial; --.*has no axis"),
        ({"optimizer": "os:system"}, MisuseError, "names code to import and run.*'os:system'"),
        ({"optimizer": "Adma"}, SpecError, "Unknown optimizer 'Adma'. Did you mean Adam"),
        ({"optimizer": "S" * 300}, SpecError, "is longer than 200 characters"),
        ({"optimizer": 7}, SpecError, "optimizer"),
        (
            {"optimizer": "SGD", "zero_grad": "<b>"},
            SpecError,
            "Unknown zero_grad '<b>'. Valid: none",
        ),
        ({"optimizer": "SGD", "lr": True}, SpecError, "lr"),
        ({"optimizer": "SGD", "seed": "one"}, SpecError, "seed"),
    ],
)
def test_a_setting_that_cannot_be_run_is_refused(theirs, params, kind, message):
    with pytest.raises(kind, match=message) as refused:
        planned_spec(read_study(theirs((1.0, params))))
    assert len(str(refused.value)) < 600


def test_too_many_settings_are_refused(theirs, monkeypatch):
    monkeypatch.setattr("sweep.publishing.adopt.MAX_GRIDS", 1)
    study = read_study(theirs(*((1.0, {"optimizer": "SGD", "lr": lr}) for lr in (0.1, 0.2))))
    with pytest.raises(MisuseError, match="has 2 different settings, and a sweep takes at most 1"):
        planned_spec(study)


def test_a_study_without_a_finished_trial_is_refused(theirs):
    with pytest.raises(MisuseError, match="The study 'theirs' has no finished trial"):
        planned_spec(read_study(theirs()))


def test_their_value_is_put_beside_what_was_recorded_here(url, theirs):
    sgd = {"optimizer": "SGD", "lr": 0.1, "weight_decay": 0.5, "momentum": 0.9, "seed": 1}
    rest = {"zero_grad": "zero", "schedule": "after:10", "freeze": "no_grad"}
    never_run = sgd | {"lr": 9.0}
    study = read_study(theirs((4.0, sgd | rest), (5.0, never_run | rest)))
    first, second = compared(study, url, "s", optimizer=None)
    assert (first.theirs.values, first.here["verdict"]) == ([4.0], "holds")
    assert second.here is None


def test_which_study_must_be_said_where_there_are_several(theirs):
    theirs((1.0, {"lr": 1.0}))
    url = theirs((math.inf, {"lr": 1.0}), name="'\"<b>")
    with pytest.raises(MisuseError, match=r"Which study\?.*--study"):
        read_study(url)
    with pytest.raises(MisuseError, match=r"No study is named 'thiers'. Did you mean 'theirs'\?"):
        read_study(url, "thiers")
    assert read_study(url, "'\"<b>").trials[0].values == [math.inf]


HOSTILE = {
    "broken JSON": "UPDATE trial_user_attributes SET value_json = '{'",
    "deep JSON": "UPDATE trial_user_attributes SET value_json = '" + "[" * 100_000 + "'",
    "a state that is none": "UPDATE trials SET state = 'SLEEPING'",
    "a date that is none": "UPDATE trials SET datetime_start = 'noon'",
    "bytes for a date": "UPDATE trials SET datetime_complete = x'00ff'",
    "bytes for a value": "UPDATE trial_values SET value = x'00ff'",
    "text for a number": "UPDATE trials SET number = 'first'",
    "a distribution that is none": "UPDATE trial_params SET distribution_json = '{\"name\": 1}'",
    "a choice that is none": "UPDATE trial_params SET param_value = 99 WHERE param_name = 'freeze'",
    "a direction that is none": "UPDATE study_directions SET direction = 'SIDEWAYS'",
    "two trials of one number": "UPDATE trials SET number = 0",
    "a fingerprint that is a list": "UPDATE trial_user_attributes SET value_json = '[1]'",
    "no values": "DELETE FROM trial_values",
    "a lost study": "UPDATE studies SET study_id = 99",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_whatever_is_in_a_storage_there_is_one_message(published, empty, url, case):
    with closing(sqlite3.connect(published.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(HOSTILE[case])
    said = [
        refusal(lambda: adopt_published(read_study(published), empty)),
        refusal(lambda: publish(url, "s", published, objectives=DRIFT)),
    ]
    assert all("\n" not in text and len(text) < 700 for text in said)


def refusal(use):
    """The message that it was refused with; empty where it was not."""
    try:
        use()
    except LeaksweepError as refused:
        return str(refused)
    return ""


JOURNALS = {
    "no JSON": '{"op_code": 0\n{}\n',
    "no operation": '{"op_code": 99, "worker_id": "w"}\n',
    "no study": '{"op_code": 4, "worker_id": "w", "study_id": 7}\n',
    "deep": "{" + '"a":[' * 50_000 + "\n",
    "not UTF-8": b"{\xff\xfe}\n".decode("latin-1"),
    "a list": "{}\n[1]\n",
    "cut short": '{"op_code": 0',
}


@pytest.mark.parametrize("case", JOURNALS)
def test_whatever_is_in_a_journal_there_is_one_message(journal, url, case):
    path = Path(journal)
    path.parent.mkdir()
    path.write_text(JOURNALS[case], encoding="latin-1")
    said = [refusal(lambda: read_study(journal))]
    assert path.read_text(encoding="latin-1") == JOURNALS[case]
    said.append(refusal(lambda: publish(url, "s", journal, objectives=DRIFT)))
    if case == "cut short":
        assert "ends in the middle of an entry" in said[1]
        assert path.read_text(encoding="latin-1") == JOURNALS[case]
    assert said[0]
    assert all("\n" not in text and len(text) < 700 for text in said)


def test_a_storage_is_only_read(published):
    path = Path(published.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM version_info")  # which Optuna would write
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="cannot be written to"):
        read_study(published)
    assert path.read_bytes() == before


def test_views_in_the_place_of_tables_are_no_storage(published):
    with closing(sqlite3.connect(published.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("ALTER TABLE trials RENAME TO others")
        connection.execute(
            "CREATE VIEW trials AS WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x FROM a) "
            "SELECT * FROM others, a"
        )
    with pytest.raises(DatabaseError, match="is no Optuna storage"):
        read_study(published)


def test_a_storage_that_is_not_there_is_not_made(tmp_path, url):
    path = tmp_path / "none.db"
    with pytest.raises(NotThereError, match=r"There is no Optuna storage at .*none\.db"):
        read_study(f"sqlite:///{path}")
    assert not path.exists()
    path.touch()
    with pytest.raises(NotThereError, match="it is empty"):
        read_study(f"sqlite:///{path}")
    with pytest.raises(DatabaseError, match="is no Optuna storage"):
        read_study(url)


def test_a_trials_columns_are_all_there_again(published, empty):
    adopt_published(read_study(published), empty)
    assert [row["verdict"] for row in recorded_rows(empty, "s")] == [
        *("leaks", "holds", "failed", "inert", "leaks", "leaks", "holds")
    ]
