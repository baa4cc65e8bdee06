import importlib.util

import pandas as pd
import pytest

from analysis import formats
from analysis.exceptions import MissingLibraryError, NoTrialsError, UnknownChoiceError
from analysis.export import export
from analysis.formats import FORMATS, write_csv, write_latex, write_markdown
from analysis.formulas import FORMULA_STARTS
from analysis.load import load_trials
from analysis.tables import SUMMARIES

ROWS = [
    {"verdict": "leaks", "by_history": True, "max_drift": 0.1, "drift_ratio": 1 / 3, "lr": 0.3},
    {"verdict": "leaks", "max_drift": 1e-300, "drift_ratio": 0.1 + 0.2, "seed": 1, "lr": 0.3},
    {"zero_grad": "none", "momentum": None},
    {"verdict": "failed", "error": "=cmd|' /C calc'!A0", "optimizer": "@evil"},
]
TABLE = SUMMARIES["by_optimizer"]
TEXTS = pd.DataFrame({"optimizer": ["a|b_c", "50%_{x}"], "leak_rate": [1 / 3, None], "n": [1, 2]})


def test_each_table_is_a_file_of_its_name_in_each_format(database, tmp_path):
    paths = export(database(s=ROWS), tmp_path / "out", formats=list(FORMATS))
    expected = [f"{table}{choice.suffix}" for table in SUMMARIES for choice in FORMATS.values()]
    assert [path.name for path in paths] == expected
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(expected)


def test_pandas_reads_the_same_values_back_from_csv(database, tmp_path):
    url = database(s=ROWS)
    export(url, tmp_path, raw=True)
    for name, table in SUMMARIES.items():
        made = table.make(load_trials(url))
        kinds = {n: k for n, k in made.dtypes.items() if not pd.api.types.is_bool_dtype(k)}
        read = pd.read_csv(tmp_path / f"{name}.csv", dtype=kinds)
        pd.testing.assert_frame_equal(read, made, check_exact=True)


def test_parquet_keeps_values_and_types(database, tmp_path):
    url = database(s=ROWS)
    export(url, tmp_path, formats=["parquet"])
    for name, table in SUMMARIES.items():
        read = pd.read_parquet(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(read, table.make(load_trials(url)), check_exact=True)


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_no_formula_reaches_a_csv_unless_it_is_raw(tmp_path, start):
    rows = pd.DataFrame({"optimizer": [f"{start}1+1", "a=b"], "lr": [-1.0, 2.0]})
    write_csv(rows, TABLE, tmp_path / "safe.csv", False)
    write_csv(rows, TABLE, tmp_path / "raw.csv", True)
    safe = pd.read_csv(tmp_path / "safe.csv")
    assert safe["optimizer"].tolist() == [f"'{start}1+1", "a=b"]
    assert safe["lr"].tolist() == [-1.0, 2.0]
    assert pd.read_csv(tmp_path / "raw.csv")["optimizer"].tolist() == [f"{start}1+1", "a=b"]


def test_null_is_an_empty_cell(database, tmp_path):
    export(database(s=ROWS), tmp_path)
    lines = (tmp_path / "by_momentum.csv").read_text().splitlines()
    assert lines[-1].startswith("s,,1,0,0.0,1")


def test_markdown_is_rounded_and_escaped(tmp_path):
    write_markdown(TEXTS, TABLE, tmp_path / "t.md", False)
    assert (tmp_path / "t.md").read_text().splitlines() == [
        "**Leak rate by optimizer.**",
        "",
        "| optimizer | leak_rate | n |",
        "| --- | ---: | ---: |",
        r"| a\|b_c | 33% | 1 |",
        r"| 50%\_{x} |  | 2 |",
    ]


def test_latex_is_rounded_and_escaped(tmp_path):
    write_latex(TEXTS, TABLE, tmp_path / "t.tex", False)
    text = (tmp_path / "t.tex").read_text()
    assert r"optimizer & leak\_rate & n \\" in text
    assert r"a|b\_c & 33\% & 1 \\" in text
    assert r"50\%\_\{x\} &  & 2 \\" in text
    assert r"\caption{Leak rate by optimizer.}" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


@pytest.mark.parametrize("write", [write_markdown, write_latex])
def test_control_codes_and_line_breaks_do_not_reach_a_text(tmp_path, write):
    rows = pd.DataFrame({"optimizer": ["red\x1b[31m\nline"]})
    write(rows, TABLE, tmp_path / "t", False)
    text = (tmp_path / "t").read_text()
    assert "\x1b" not in text
    assert "\nline" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (123456.0, "1.23e+05"), (float("inf"), "inf"), (0.0, "0")],
)
def test_numbers_have_three_significant_digits(tmp_path, value, text):
    write_markdown(pd.DataFrame({"max_drift": [value]}), TABLE, tmp_path / "t", False)
    assert (tmp_path / "t").read_text().splitlines()[-1] == f"| {text} |"


def test_an_unknown_format_writes_nothing(database, tmp_path):
    with pytest.raises(UnknownChoiceError, match=r"Unknown format 'cvs'. Did you mean csv\?"):
        export(database(s=ROWS), tmp_path / "out", formats=["cvs"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("sweep", "text"), [(None, "The database"), ("s", "The sweep 's'")])
def test_nothing_recorded_yet_is_an_error(database, tmp_path, sweep, text):
    with pytest.raises(NoTrialsError, match=f"{text} holds no trials yet"):
        export(database(s=[]), tmp_path / "out", sweep=sweep)


def test_parquet_without_its_library_names_the_extra(database, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"pyarrow.*'leaksweep\[parquet\]'"):
        export(database(s=ROWS), tmp_path / "out", formats=["parquet"])
    assert not list((tmp_path / "out").iterdir())


def test_a_file_that_cannot_be_finished_leaves_the_old_one(database, tmp_path, monkeypatch):
    url = database(s=ROWS)
    export(url, tmp_path)
    before = (tmp_path / "by_optimizer.csv").read_bytes()

    def broken(rows, table, path, raw):
        path.write_text("half")
        raise OSError("disk full")

    choice = formats.Format("csv", ".csv", broken)
    monkeypatch.setattr("analysis.export.FORMATS", {"csv": choice})
    names = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(OSError, match="disk full"):
        export(url, tmp_path)
    assert (tmp_path / "by_optimizer.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == names
