"""Sweeps published to real storages, opened with Optuna itself."""

import sqlite3
from contextlib import closing
from datetime import UTC

import optuna
import pytest
from optuna.trial import TrialState

from sweep.errors import DatabaseError, MisuseError, NotThereError
from sweep.publishing import publish as publishing
from sweep.publishing.publish import publish
from sweep.searching.objective import Objective
from sweep.searching.study import recorded_rows
from sweep.store.store import Store
from sweep.values.outcome import CAUSE_FLAGS
from sweep.values.words import Axis, Verdict

DRIFT = [Objective.DRIFT_RATIO]
STATES = {
    "leaks": TrialState.COMPLETE,
    "holds": TrialState.COMPLETE,
    "inert": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@pytest.fixture
def study_of():
    """Opens the study `s` of a storage, anew every time."""
    storages = []

    def open_study(where):
        if where.endswith(".log"):
            backend = optuna.storages.journal.JournalFileBackend(where)
            journal = optuna.storages.JournalStorage(backend)
            return optuna.load_study(study_name="s", storage=journal)
        storages.append(optuna.storages.RDBStorage(where))
        return optuna.load_study(study_name="s", storage=storages[-1])

    yield open_study
    for storage in storages:
        storage.remove_session()
        storage.engine.dispose()


def test_each_trial_of_the_study_is_one_of_the_database(url, any_storage, study_of):
    done = publish(url, "s", any_storage, objectives=DRIFT)
    rows, study = recorded_rows(url, "s"), study_of(any_storage)
    assert (done.added, done.there) == (len(rows), 0)
    assert [trial.number for trial in study.trials] == list(range(len(rows)))
    for row, trial in zip(rows, study.trials, strict=True):
        axes = {axis.value: row[axis] for axis in Axis if row[axis] is not None}
        assert trial.params == axes
        assert {k: type(v) for k, v in trial.params.items()} == {
            k: type(v) for k, v in axes.items()
        }
        assert trial.state == (TrialState.PRUNED if row["diverged"] else STATES[row["verdict"]])
        complete = trial.state is TrialState.COMPLETE
        assert trial.values == ([row["drift_ratio"]] if complete else None)
        said = trial.user_attrs
        plain = {k: v for k, v in row.items() if k in said and k not in ("causes", "finished_at")}
        assert {name: said[name] for name in plain} == plain
        assert {"verdict", "error", "fingerprint", "total_drift"} <= plain.keys()
        moved = [cause for cause in CAUSE_FLAGS if row[cause]]
        assert said["causes"] == (moved if row["verdict"] == "leaks" else None)
        assert trial.datetime_complete.astimezone(UTC) == row["finished_at"]
    assert study.direction.name == "MAXIMIZE"


def test_a_study_is_what_optuna_itself_would_have_made(url, storage, tmp_path, study_of):
    publish(url, "s", storage, objectives=DRIFT)
    ours, theirs = study_of(storage), f"sqlite:///{tmp_path / 'theirs.db'}"
    other = optuna.create_study(study_name="s", storage=theirs, direction="maximize")
    other.add_trials(ours.trials)
    for mine, its in zip(ours.trials, other.trials, strict=True):
        assert mine == its


def test_a_sampler_goes_on_from_a_published_study(url, storage, study_of):
    publish(url, "s", storage, objectives=DRIFT)
    study = study_of(storage)
    study.sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=1)
    study.optimize(lambda trial: trial.suggest_float("lr", 1e-8, 0.1, log=True), n_trials=1)
    assert study.trials[-1].number == len(study.trials) - 1


def test_publishing_again_adds_only_what_is_new(url, any_storage, make, record, study_of):
    publish(url, "s", any_storage, objectives=DRIFT)
    before = study_of(any_storage).trials
    assert publish(url, "s", any_storage, objectives=DRIFT).added == 0
    record(url, [make(2, optimizer="Adagrad", lr=0.01, weight_decay=0.5)])
    done = publish(url, "s", any_storage, objectives=DRIFT)
    assert (done.added, done.there, done.anew) == (1, len(before), False)
    after = study_of(any_storage).trials
    assert after[:-1] == before
    assert after[-1].params["lr"] == 0.01


def test_a_sweep_with_new_values_is_published_anew(url, any_storage, make, record, study_of):
    publish(url, "s", any_storage, objectives=DRIFT)
    before = study_of(any_storage).trials
    record(url, [make(20, optimizer="ASGD", lr=7.0)])
    done = publish(url, "s", any_storage, objectives=DRIFT)
    assert (done.added, done.there, done.anew) == (len(before) + 1, 0, True)
    after = study_of(any_storage).trials
    assert [trial.params for trial in after[:-1]] == [trial.params for trial in before]
    assert after[-1].params["optimizer"] == "ASGD"
    for name in Axis:  # the old ones have the new values in their distributions, too
        assert len({t.distributions[name] for t in after if name in t.params}) == 1


def test_what_others_have_added_to_a_study_is_not_lost(url, any_storage, make, record, study_of):
    publish(url, "s", any_storage, objectives=DRIFT)
    study_of(any_storage).add_trial(optuna.trial.create_trial(value=1.0))
    record(url, [make(20, optimizer="ASGD", lr=7.0)])
    with pytest.raises(MisuseError, match=r"made anew; 1 trials in it are others'. Use another"):
        publish(url, "s", any_storage, objectives=DRIFT)
    assert len(study_of(any_storage).trials) == 8


def test_a_failed_trial_that_was_run_again_is_a_new_trial(url, storage, make, record, study_of):
    publish(url, "s", storage, objectives=DRIFT)
    record(url, [make(2, Verdict.LEAKS)])
    assert publish(url, "s", storage, objectives=DRIFT).added == 1
    again = [t for t in study_of(storage).trials if t.params["seed"] == 2]
    assert [trial.state for trial in again] == [TrialState.FAIL, TrialState.COMPLETE]


@pytest.mark.parametrize(("where", "kept"), [("storage", 3), ("journal", 0)])
def test_a_publish_that_is_killed_leaves_a_study_that_the_next_one_completes(
    url, request, monkeypatch, study_of, where, kept
):
    def killed(row, *others, **attributes):
        if row["seed"] == 3:
            raise KeyboardInterrupt
        return whole(row, *others, **attributes)

    storage = request.getfixturevalue(where)
    whole = publishing.frozen_trial
    monkeypatch.setattr(publishing, "frozen_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        publish(url, "s", storage, objectives=DRIFT)
    monkeypatch.setattr(publishing, "frozen_trial", whole)
    assert len(study_of(storage).trials) == kept
    done = publish(url, "s", storage, objectives=DRIFT)
    assert (done.added, done.there) == (7 - kept, kept)
    assert len(study_of(storage).trials) == 7


def test_two_who_publish_into_one_journal_do_not_meet(url, journal, record, tmp_path, study_of):
    other = record(f"sqlite:///{tmp_path / 'other.db'}", name="t")
    publish(other, "t", journal, objectives=DRIFT)

    def meanwhile(trials, at_once):
        assert (trials, at_once) == (7, True)
        extended = record(f"sqlite:///{tmp_path / 'third.db'}", name="u")
        publish(extended, "u", journal, objectives=DRIFT)

    publish(url, "s", journal, objectives=DRIFT, observe=meanwhile)
    backend = optuna.storages.journal.JournalFileBackend(journal)
    studies = optuna.get_all_study_summaries(optuna.storages.JournalStorage(backend))
    assert {study.study_name: study.n_trials for study in studies} == {"s": 7, "t": 7, "u": 7}


def test_a_full_disk_leaves_the_journal_as_it_was(url, journal, monkeypatch, record, tmp_path):
    publish(record(f"sqlite:///{tmp_path / 'n.db'}", name="t"), "t", journal, objectives=DRIFT)

    def full(backend, logs):
        if len(logs) < 7:
            return whole(backend, logs)
        with open(journal, "ab") as file:
            file.write(b'{"half an entry')
        raise OSError(28, "No space left on device")

    whole = optuna.storages.journal.JournalFileBackend.append_logs
    monkeypatch.setattr(optuna.storages.journal.JournalFileBackend, "append_logs", full)
    with pytest.raises(DatabaseError, match=r"cannot use .*optuna\.log: .*No space left"):
        publish(url, "s", journal, objectives=DRIFT)
    monkeypatch.setattr(optuna.storages.journal.JournalFileBackend, "append_logs", whole)
    assert publish(url, "s", journal, objectives=DRIFT).added == 7


def test_several_objectives_have_a_direction_each(url, storage, study_of):
    publish(url, None, storage, objectives=[Objective.LEAKED_STEPS, Objective.FINAL_LOSS])
    study = study_of(storage)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.trials[0].values == [9.0, 0.9]


@pytest.mark.parametrize(
    "name", ["'; DROP TABLE studies; --", "<img src=x onerror=alert(1)>", "é "]
)
def test_the_sweeps_name_is_the_studys_whatever_it_is(storage, tmp_path, record, name):
    url = record(f"sqlite:///{tmp_path / 'n.db'}", name=name)
    publish(url, name, storage, objectives=DRIFT)
    assert optuna.get_all_study_names(storage) == [name]


def test_another_programs_study_of_that_name_is_refused(url, storage, tmp_path, study_of):
    (tmp_path / "folder").mkdir()
    optuna.create_study(study_name="s", storage=storage)
    with pytest.raises(MisuseError, match="a study named 's' that this program did not publish"):
        publish(url, "s", storage, objectives=DRIFT)
    assert study_of(storage).trials == []


def test_a_study_keeps_its_objective(url, storage):
    publish(url, "s", storage, objectives=DRIFT)
    with pytest.raises(MisuseError, match=r"'s' was published for drift_ratio, .*--objective"):
        publish(url, "s", storage, objectives=[Objective.FINAL_LOSS])


def test_which_sweep_must_be_said_where_there_are_several(url, storage, record):
    record(url, name="t")
    with pytest.raises(MisuseError, match=r"Which sweep\? The database has 's', 't'"):
        publish(url, None, storage, objectives=DRIFT)


def test_a_database_without_a_sweep_is_told(storage, tmp_path):
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    Store.open(empty).close()
    with pytest.raises(MisuseError, match="The database has no sweep yet"):
        publish(empty, None, storage, objectives=DRIFT)
    with pytest.raises(NotThereError, match="There is no sweep 'x'"):
        publish(empty, "x", storage, objectives=DRIFT)


def test_a_sweep_without_trials_is_told(storage, tmp_path, record):
    url = record(f"sqlite:///{tmp_path / 'n.db'}", [])
    with pytest.raises(MisuseError, match="The sweep 's' has no trials yet"):
        publish(url, "s", storage, objectives=DRIFT)


def test_another_programs_database_is_refused_and_left_alone(url):
    with pytest.raises(DatabaseError, match="is no Optuna storage: it has other tables"):
        publish(url, "s", url, objectives=DRIFT)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "studies" not in names


def test_a_storage_of_another_schema_is_refused(url, storage):
    publish(url, "s", storage, objectives=DRIFT)
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    with pytest.raises(DatabaseError, match=r"Optuna cannot use .*optuna storage upgrade"):
        publish(url, "s", storage, objectives=DRIFT)


def test_a_file_that_is_no_database_is_told(url, tmp_path):
    (tmp_path / "text").write_text("hello")
    for where in (f"sqlite:///{tmp_path / 'text'}", str(tmp_path / "text")):
        with pytest.raises(DatabaseError, match="that file is no SQLite database"):
            publish(url, "s", where, objectives=DRIFT)


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_no_message_shows_the_password(url, kind):
    with pytest.raises(DatabaseError) as refused:
        publish(url, "s", f"{kind}://me:hunter2@localhost:1/x", objectives=DRIFT)
    assert "hunter2" not in str(refused.value)
    assert "me:***@" in str(refused.value)
