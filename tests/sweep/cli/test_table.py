"""`leaksweep table` prints the tables that `export` writes; `show optimizers` filters."""

import csv
import io
import json
import sys

import pytest

from analysis.formats import FileFormat
from analysis.tables import SUMMARIES
from sweep.cli.output import Format


def test_a_table_is_printed_for_one_sweep_or_all(leaksweep, url):
    every = list(
        csv.DictReader(io.StringIO(leaksweep("table", "by_optimizer", "--format", "csv").out))
    )
    one = json.loads(leaksweep("table", "by_optimizer", "held", "--format", "json").out)
    assert {row["sweep"] for row in every} == {"held", "with failures"}
    assert [(row["optimizer"], row["trials"]) for row in one] == [("Adam", 4), ("SGD", 4)]


@pytest.mark.parametrize("name", ["csv", "latex", "markdown"])
def test_what_is_printed_has_what_the_file_has(leaksweep, url, tmp_path, name):
    suffix = {"csv": ".csv", "latex": ".tex", "markdown": ".md"}[name]
    leaksweep("export", "held", "--out", tmp_path, "--format", name)
    written = (tmp_path / f"by_zero_grad{suffix}").read_text()
    printed = leaksweep("table", "by_zero_grad", "held", "--format", name).out
    assert [line for line in printed.splitlines() if "zero" in line] != []
    assert printed == written


def test_every_format_of_files_is_one_of_the_command_line():
    assert list(Format) == ["table", *FileFormat]


def test_parquet_goes_into_a_pipe_and_not_to_a_terminal(leaksweep, url, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    ended = leaksweep("table", "by_optimizer", "--format", "parquet")
    assert (ended.code, ended.out) == (2, "")
    assert "Parquet is not for a terminal: add > by_optimizer.parquet" in ended.err


def test_a_table_that_there_is_not_is_answered_with_the_nearest(leaksweep, url):
    ended = leaksweep("table", "by_optimiser")
    assert (ended.code, ended.out) == (2, "")
    assert "Unknown table 'by_optimiser'. Did you mean by_optimizer" in ended.err
    assert ended.err.endswith("importance, cost, failures.\n")  # and with all of them


def test_no_table_named_is_answered_with_all(leaksweep):
    ended = leaksweep("table")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"Which table? Valid: {', '.join(SUMMARIES)}.\n"


def test_heads_that_do_not_fit_are_whole_where_there_is_no_row(leaksweep, url, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    shown = leaksweep("table", "cost", "held").out
    assert max(map(len, shown.splitlines())) <= 60
    assert shown.rstrip().endswith("p, p_corrected, comparisons")


def test_a_table_without_rows_says_so(leaksweep, url):
    ended = leaksweep("table", "failures", "held")
    assert ended.code == 0
    assert "The table failures has no rows" in ended.err


def test_a_format_of_files_is_refused_where_rows_are_printed(leaksweep, url):
    ended = leaksweep("sql", "SELECT 1", "--format", "latex")
    assert (ended.code, ended.out) == (2, "")
    assert "Printed here: table, csv, json, markdown." in ended.err


@pytest.mark.parametrize(
    ("pattern", "found"), [("adamw", ["AdamW"]), ("SGD", ["SGD"]), ("Ada[md]*", ["Adam", "AdamW"])]
)
def test_optimizers_are_filtered_whatever_the_case(leaksweep, pattern, found):
    shown = [line.split()[0] for line in leaksweep("show", "optimizers", pattern).out.splitlines()]
    assert [name for name in found if name not in shown] == []
    assert "LBFGS" not in shown


def test_a_pattern_that_matches_nothing_is_answered_with_the_nearest(leaksweep):
    ended = leaksweep("show", "optimizers", "adma")
    assert (ended.code, ended.out) == (1, "")
    assert "No optimizer matches 'adma'. Did you mean Adam" in ended.err


def test_what_is_absent_is_a_last_line(leaksweep):
    ended = leaksweep("show", "optimizers", "timm.adopt*")
    assert "Not here: timm.adopt, timm.adoptc, timm.adoptw. timm is not installed" in ended.err
    assert ended.out == ""
