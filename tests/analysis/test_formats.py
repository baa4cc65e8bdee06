import importlib.util
import json

import pandas as pd
import pytest

from analysis.exceptions import MissingLibraryError
from analysis.formats import (
    FileFormat,
    csv_text,
    for_readers,
    json_text,
    latex_text,
    markdown_text,
    written,
)
from analysis.formulas import FORMULA_STARTS

CAPTION = "Leak rate by optimizer."
TEXTS = pd.DataFrame({"optimizer": ["a|b_c", "50%_{x}"], "leak_rate": [1 / 3, None], "n": [1, 2]})


def readers(frame):
    return for_readers(frame, "by_optimizer", CAPTION)


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_no_formula_reaches_a_csv_unless_it_is_raw(tmp_path, start):
    rows = pd.DataFrame({"optimizer": [f"{start}1+1", "a=b"], "lr": [-1.0, 2.0]})
    (tmp_path / "safe.csv").write_text(csv_text(rows), encoding="utf-8", newline="")
    (tmp_path / "raw.csv").write_text(csv_text(rows, raw=True), encoding="utf-8", newline="")
    safe = pd.read_csv(tmp_path / "safe.csv")
    assert safe["optimizer"].tolist() == [f"'{start}1+1", "a=b"]
    assert safe["lr"].tolist() == [-1.0, 2.0]
    assert pd.read_csv(tmp_path / "raw.csv")["optimizer"].tolist() == [f"{start}1+1", "a=b"]


def test_json_has_an_object_a_row_with_every_bit_and_null_for_null():
    rows = pd.DataFrame(
        {"a": [0.1 + 0.2, None], "b": pd.array([1, None], "Int64"), "c": ["x", "y"]}
    )
    assert json.loads(json_text(rows)) == [
        {"a": 0.1 + 0.2, "b": 1, "c": "x"},
        {"a": None, "b": None, "c": "y"},
    ]
    assert json.loads(json_text(pd.DataFrame({"a": [float("inf")]}))) == [{"a": "inf"}]
    assert json.loads(json_text(rows.iloc[:0])) == []


def test_what_is_the_same_in_every_row_stands_once_in_the_caption():
    rows = pd.DataFrame(
        {"sweep": ["s", "s"], "lr": [0.1, 0.1], "optimizer": ["A", "B"], "pools": [None, None]}
    )
    table = readers(rows)
    assert table.columns == ("optimizer",)
    assert table.caption == f"{CAPTION} In every row: lr 0.1."
    assert readers(rows.iloc[:1]).columns == ("lr", "optimizer")


def test_markdown_is_rounded_and_escaped():
    assert markdown_text(readers(TEXTS)).splitlines() == [
        "**Leak rate by optimizer.**",
        "",
        "| optimizer | leak_rate | n |",
        "| --- | ---: | ---: |",
        r"| a\|b_c | 33% | 1 |",
        r"| 50%\_{x} |  | 2 |",
    ]


def test_latex_is_rounded_and_escaped():
    text = latex_text(readers(TEXTS))
    assert r"optimizer & leak\_rate & n \\" in text
    assert r"a\textbar{}b\_c & 33\% & 1 \\" in text
    assert r"50\%\_\{x\} &  & 2 \\" in text
    assert r"\caption{Leak rate by optimizer.}" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_a_long_text_is_a_paragraph_in_latex():
    text = latex_text(readers(pd.DataFrame({"rule": ["leaks when " * 9, "a"], "n": [1, 2]})))
    assert r"\begin{tabular}{p{0.55\linewidth}r}" in text


@pytest.mark.parametrize("choice", [FileFormat.MARKDOWN, FileFormat.LATEX])
def test_control_codes_and_line_breaks_do_not_reach_a_text(choice):
    rows = pd.DataFrame({"optimizer": ["red\x1b[31m\nline"]})
    text = written(rows, "t", CAPTION, choice).decode()
    assert "\x1b" not in text
    assert "\nline" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (123456.0, "1.23e+05"), (float("inf"), "inf"), (0.0, "0")],
)
def test_numbers_have_three_significant_digits(value, text):
    table = readers(pd.DataFrame({"max_drift": [value]}))
    assert table.rows == ((text,),)


@pytest.mark.parametrize(
    ("choice", "suffix"), [("csv", ".csv"), ("markdown", ".md"), ("latex", ".tex")]
)
def test_a_format_knows_what_its_files_end_with(choice, suffix):
    assert FileFormat(choice).suffix == suffix


def test_parquet_without_its_library_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"pyarrow.*'leaksweep\[parquet\]'"):
        written(TEXTS, "t", CAPTION, FileFormat.PARQUET)


def test_settings_that_differ_in_the_fourth_digit_read_differently(trials):
    rows = trials({"lr": 0.1234}, {"lr": 0.1235})[["lr", "max_drift"]]
    assert [row[0] for row in for_readers(rows, "by_setting", "").rows] == ["0.1234", "0.1235"]
