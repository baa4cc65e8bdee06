import importlib.util

import pandas as pd
import pytest

from analysis import export as module
from analysis.exceptions import MissingLibraryError, NoTrialsError, UnknownChoiceError
from analysis.export import MOST_READ, export_tables, whole_file
from analysis.formats import FileFormat
from analysis.load import load_trials
from analysis.schema import TRIAL_COLUMNS
from analysis.tables import SUMMARIES, summary_table

ROWS = [
    {"verdict": "leaks", "by_history": True, "max_drift": 0.1, "drift_ratio": 1 / 3, "lr": 0.3},
    {"verdict": "leaks", "max_drift": 1e-300, "drift_ratio": 0.1 + 0.2, "seed": 1, "lr": 0.3},
    {"zero_grad": "none", "momentum": None},
    {"verdict": "failed", "error": "=cmd|' /C calc'!A0", "optimizer": "@evil"},
]
COLUMNS = ["sweep", "sweep_kind", *TRIAL_COLUMNS]


def names(files):
    return [file.path.name for file in files if not file.reason]


def test_each_table_is_a_file_of_its_name_in_each_format(database, tmp_path):
    url = database(s=ROWS)
    files = export_tables(url, tmp_path / "out", formats=list(FileFormat), every=True)
    assert names(files) == [f"{name}{one.suffix}" for name in SUMMARIES for one in FileFormat]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names(files))


def test_pandas_reads_the_same_values_back_from_csv(database, tmp_path):
    url = database(s=ROWS)
    export_tables(url, tmp_path, raw=True, every=True)
    for name, table in SUMMARIES.items():
        made = table.make(load_trials(url, columns=COLUMNS))
        kinds = {n: k for n, k in made.dtypes.items() if not pd.api.types.is_bool_dtype(k)}
        read = pd.read_csv(tmp_path / f"{name}.csv", dtype=kinds)
        pd.testing.assert_frame_equal(read, made, check_exact=True)


def test_parquet_keeps_values_and_types(database, tmp_path):
    url = database(s=ROWS)
    export_tables(url, tmp_path, formats=["parquet"], every=True)
    for name in SUMMARIES:
        read = pd.read_parquet(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(read, summary_table(name, url), check_exact=True)


def test_null_is_an_empty_cell(database, tmp_path):
    export_tables(database(s=ROWS), tmp_path)
    lines = (tmp_path / "by_momentum.csv").read_text().splitlines()
    assert lines[-1].startswith("s,,,1,0,0.0,1")


def test_a_table_without_rows_has_no_file_and_the_one_from_before_goes(database, tmp_path):
    (tmp_path / "failures.csv").write_text("old")
    files = {file.path.name: file.reason for file in export_tables(database(s=[{}]), tmp_path)}
    assert files["failures.csv"] == "it has no rows"
    assert not (tmp_path / "failures.csv").exists()
    assert "failures.csv" in names(export_tables(database(s=[{}]), tmp_path, every=True))


def test_a_long_table_is_for_programs_and_not_for_readers(database, tmp_path):
    url = database(s=[{"lr": 1.0 + n} for n in range(MOST_READ + 1)])
    files = export_tables(url, tmp_path, formats=["csv", "latex"])
    left = {file.path.name: file.reason for file in files if file.reason}
    assert left["by_setting.tex"] == f"its {MOST_READ + 1} rows are too many to read"
    assert {"by_setting.csv", "results.tex"} <= set(names(files))
    every = export_tables(url, tmp_path, formats=["latex"], every=True)
    assert "by_setting.tex" in names(every)


def test_a_watch_has_no_tables_of_settings(database, tmp_path):
    url = database(s=[{}], specs={"s": '{"kind":"watch"}'})
    assert {"by_optimizer.csv", "rules.csv"}.isdisjoint(names(export_tables(url, tmp_path)))


def test_an_unknown_format_writes_nothing(database, tmp_path):
    with pytest.raises(UnknownChoiceError, match=r"Unknown format 'cvs'. Did you mean csv\?"):
        export_tables(database(s=ROWS), tmp_path / "out", formats=["cvs"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("sweep", "text"), [(None, "The database"), ("s", "The sweep 's'")])
def test_nothing_recorded_yet_is_an_error(database, tmp_path, sweep, text):
    with pytest.raises(NoTrialsError, match=f"{text} holds no trials yet"):
        export_tables(database(s=[]), tmp_path / "out", sweep=sweep)


def test_parquet_without_its_library_names_the_extra(database, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"pyarrow.*'leaksweep\[parquet\]'"):
        export_tables(database(s=ROWS), tmp_path / "out", formats=["parquet"])
    assert not list((tmp_path / "out").iterdir())


def test_a_file_that_cannot_be_finished_leaves_the_old_one(database, tmp_path, monkeypatch):
    url = database(s=ROWS)
    export_tables(url, tmp_path)
    before = (tmp_path / "by_optimizer.csv").read_bytes()

    def broken(*words, **more):
        raise OSError("disk full")

    monkeypatch.setattr(module, "written", broken)
    names = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(OSError, match="disk full"):
        export_tables(url, tmp_path)
    assert (tmp_path / "by_optimizer.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_the_file_is_the_old_one_until_all_is_written(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with whole_file(path) as unfinished:
        unfinished.write_text("half")
        assert path.read_text() == "old"
        unfinished.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_half_way_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def half():
        with whole_file(path) as unfinished:
            unfinished.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_the_system_takes_is_taken(tmp_path):
    path = tmp_path / ("x" * 250 + ".html")
    with whole_file(path) as unfinished:
        unfinished.write_text("whole")
    assert path.read_text() == "whole"
