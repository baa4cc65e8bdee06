import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from analysis.exceptions import (
    DatabaseMissingError,
    MissingLibraryError,
    SweepMissingError,
    UnknownChoiceError,
    UnreadableDatabaseError,
)
from analysis.load import load_runs, load_sweeps, load_trials
from analysis.schema import COUNT, ENVIRONMENT_COLUMNS, READABLE, TRIAL_COLUMNS, SweepKind
from analysis.tables import summary_table

OLDER = sorted((Path(__file__).parents[1] / "data").glob("leaksweep_*.sqlite3"))[:2]
LEAK = {"verdict": "leaks", "max_drift": 0.1, "drift_ratio": 1 / 3, "by_history": True}
FAILED = {"verdict": "failed", "error": "ValueError: bad", "optimizer": "Adagrad"}


def test_every_column_has_its_documented_kind(database):
    frame = load_trials(database(s=[LEAK, FAILED | {"momentum": None}]), columns=list(READABLE))
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        name: kind.value for name, kind in READABLE.items()
    }


def test_values_come_back_to_the_last_bit(database):
    row = load_trials(database(s=[LEAK | {"lr": 0.1 + 0.2}])).iloc[0]
    assert (row["lr"], row["max_drift"], row["drift_ratio"]) == (0.1 + 0.2, 0.1, 1 / 3)
    assert row["finished_at"] == pd.Timestamp("2026-11-23 05:30", tz="UTC")
    assert bool(row["by_history"])
    assert not row["by_decay"]


def test_nulls_stay_null(database):
    row = load_trials(database(s=[FAILED | {"momentum": None}])).iloc[0]
    for name in ("momentum", "moved", "first_leak_step", "max_drift", "by_decay", "sideways"):
        assert pd.isna(row[name]), name


def test_infinity_stays_infinity(database):
    assert load_trials(database(s=[{"diverged": True}]))["final_loss"].tolist() == [float("inf")]


def test_large_seeds_are_exact(database):
    seed = 2**53 + 1
    assert load_trials(database(s=[{"seed": seed}]))["seed"].tolist() == [seed]


def test_one_sweep_or_all_of_them(database):
    url = database(first=[{}], second=[{"seed": 1}, {"seed": 2}])
    assert sorted(load_trials(url, "second")["seed"]) == [1, 2]
    assert load_trials(url)["sweep"].tolist() == ["first", "second", "second"]


def test_only_the_columns_asked_for_come_in_their_order(database):
    frame = load_trials(database(s=[{}]), columns=["verdict", "torch", "sweep"])
    assert list(frame.columns) == ["verdict", "torch", "sweep"]
    assert frame.iloc[0].tolist() == ["holds", "2.13.0", "s"]


def test_the_environment_is_joined_only_where_asked(database):
    frame = load_trials(database(s=[{}]))
    assert list(frame.columns) == ["sweep", *TRIAL_COLUMNS]
    assert not set(ENVIRONMENT_COLUMNS) & set(frame.columns)


def test_a_sweep_without_trials_is_an_empty_typed_frame(database):
    frame = load_trials(database(s=[]), "s")
    assert len(frame) == 0
    assert str(frame["lr"].dtype) == "float64"


def test_a_folder_in_place_of_a_database_is_told(tmp_path):
    with pytest.raises(UnreadableDatabaseError, match="it is a folder; name a file in it") as told:
        load_trials(str(tmp_path))
    assert told.value.exit_code == 2


def test_a_missing_file_is_named_and_not_made(tmp_path):
    path = tmp_path / "none.db"
    with pytest.raises(DatabaseMissingError, match=r"There is no database at .*none\.db") as caught:
        load_trials(f"sqlite:///{path}")
    assert caught.value.exit_code == 1
    assert not path.exists()


def test_a_url_without_a_file_is_refused():
    with pytest.raises(DatabaseMissingError, match="which names no file"):
        load_trials("sqlite://")


def test_an_unknown_sweep_is_answered_with_the_nearest(database):
    with pytest.raises(
        SweepMissingError, match=r"'artcle'.*Did you mean article\? Valid: article, full"
    ) as caught:
        load_trials(database(article=[{}], full=[{}]), "artcle")
    assert caught.value.exit_code == 1


def test_a_database_without_sweeps_says_so(database):
    with pytest.raises(SweepMissingError, match="There are none yet"):
        load_trials(database(), "full")


def test_an_unknown_column_is_answered_with_the_nearest(database):
    with pytest.raises(UnknownChoiceError, match=r"Unknown column 'optimiser'.*mean optimizer"):
        load_trials(database(s=[{}]), columns=["optimiser"])


def test_a_file_that_is_no_database_is_a_clear_message(tmp_path):
    path = tmp_path / "text.db"
    path.write_text("not a database, only some text that is long enough" * 9)
    with pytest.raises(UnreadableDatabaseError, match="file is not a database") as caught:
        load_trials(f"sqlite:///{path}")
    assert caught.value.exit_code == 2


def test_another_programs_database_is_a_clear_message(tmp_path):
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(UnreadableDatabaseError, match="it has no plain table trial"):
        load_trials(f"sqlite:///{path}")


def test_text_that_is_no_url_is_a_clear_message():
    with pytest.raises(UnreadableDatabaseError, match="not a valid URL"):
        load_trials("postgresql://host:port/x")


def test_a_path_is_as_good_as_a_url(database, tmp_path, monkeypatch):
    database(s=[{}])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.db").rename("my%20runs.db")
    assert len(load_trials("my%20runs.db")) == len(load_trials("sqlite:///my%2520runs.db")) == 1
    with pytest.raises(DatabaseMissingError, match=r"There is no database at my runs\.db"):
        load_trials("sqlite:///my%20runs.db")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW step AS WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x FROM a) "
        "SELECT x AS trial_id FROM a",
        "CREATE VIRTUAL TABLE step USING fts5(trial_id)",
        "CREATE TABLE step (trial_id, step AS (hex(zeroblob(trial_id))))",
    ],
)
def test_what_could_run_for_ever_in_the_place_of_a_table_is_refused(database, tmp_path, statement):
    url = database(s=[{}])
    with closing(sqlite3.connect(tmp_path / "sweep.db")) as connection:
        connection.execute("DROP TABLE step")
        connection.execute(statement)
        connection.commit()
    with pytest.raises(UnreadableDatabaseError, match="it has no plain table step"):
        load_trials(url)


@pytest.mark.parametrize("kept", OLDER, ids=lambda path: path.stem)
def test_an_older_schema_is_read_with_null_in_what_it_lacks(kept, tmp_path):
    path = Path(shutil.copy(kept, tmp_path / "old.db"))
    frame = load_trials(str(path), columns=["verdict", "causes", "score", "cpu", "torch"])
    assert len(frame) == 7
    assert frame[["causes", "score", "cpu"]].isna().all(axis=None)
    assert frame[["verdict", "torch"]].notna().all(axis=None)
    assert path.read_bytes() == kept.read_bytes()


def test_a_driver_that_is_not_installed_is_named_with_its_extra():
    with pytest.raises(MissingLibraryError, match=r"needs oracledb\. Install it with"):
        load_trials("oracle+oracledb://host/db")


def test_a_table_without_the_columns_is_a_clear_message(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE sweep (id, name); CREATE TABLE trial (id)")
    with pytest.raises(UnreadableDatabaseError, match="it has no plain table environment"):
        load_trials(f"sqlite:///{path}")


def test_a_password_is_in_no_message():
    with pytest.raises(UnreadableDatabaseError) as caught:
        load_trials("postgresql+psycopg://me:hunter2@127.0.0.1:1/db?connect_timeout=1")
    assert "hunter2" not in str(caught.value)


def test_loading_does_not_write(database, tmp_path):
    url = database(s=[{}])
    before = (tmp_path / "sweep.db").read_bytes()
    load_trials(url)
    assert (tmp_path / "sweep.db").read_bytes() == before


def test_analysis_imports_neither_torch_nor_sweep():
    code = (
        "import sys, analysis.export, analysis.tables;"
        "sys.exit(any(name.split('.')[0] in ('torch', 'sweep') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_words_come_in_the_order_that_readers_expect(database):
    url = database(s=[{"zero_grad": word} for word in ("never", "zero", "none")])
    assert list(load_trials(url, "s")["zero_grad"].cat.categories) == ["none", "zero", "never"]
    assert summary_table("by_zero_grad", url)["zero_grad"].tolist() == ["none", "zero", "never"]


def test_what_trials_ran_with_is_a_row_with_their_number_and_time(database):
    url = database(other=[{"seed": 9}], s=[{}, {"seed": 1}, {"seed": 2}])
    (run,) = load_runs(url, "s").to_dict("records")
    assert (run["torch"], run["device"], run[COUNT]) == ("2.13.0", "cpu", 3)
    assert run["optimizer_package"] == "torch 2.13.0"
    assert run["train_seconds"] > 0
    assert f"{run['finished_at']:%z}" == "+0000"


def test_a_sweep_without_trials_ran_with_nothing(database):
    assert load_runs(database(s=[]), "s").empty


def test_sweeps_come_oldest_first_with_what_they_are(database):
    specs = {"b": '{"kind":"search","search":{"seed":0}}', "c": '{"kind":"watch"}'}
    records = load_sweeps(database(a=[{}], b=[], c=[{}], specs=specs))
    assert [(record.name, record.kind, record.planned) for record in records] == [
        ("a", SweepKind.GRID, 1),
        ("b", SweepKind.SEARCH, 0),
        ("c", SweepKind.WATCH, 1),
    ]
    assert records[1].read["search"] == {"seed": 0}


@pytest.mark.parametrize("spec", ["[]", "1", "{", '{"grid":[1]}', '{"search":3}', '{"kind":"x"}'])
def test_a_spec_that_is_none_is_told(database, spec):
    with pytest.raises(UnreadableDatabaseError, match="holds what is not of its kind"):
        load_sweeps(database(s=[], specs={"s": spec}))
