import runpy
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from analysis.load import load_trials
from analysis.tables import SUMMARIES
from sweep.serve.metadata import QUERIES

REPOSITORY = Path(__file__).parents[3]
DOCS = runpy.run_path(str(REPOSITORY / "docs" / "make_queries.py"))
BY_NAME = {query.name: query for query in QUERIES}


@pytest.fixture
def ask(database):
    """The rows that a question has, as dicts; parameters left out are empty."""

    def rows(name, **given):
        query = BY_NAME[name]
        values = dict.fromkeys(query.parameters, "") | given
        with closing(sqlite3.connect(f"{Path(database).as_uri()}?mode=ro", uri=True)) as opened:
            opened.row_factory = sqlite3.Row
            return [dict(row) for row in opened.execute(query.sql, values)]

    return rows


@pytest.fixture
def change(database):
    """Changes the database by statements."""

    def execute(*statements):
        with closing(sqlite3.connect(database)) as opened, opened:
            for statement in statements:
                opened.execute(statement)

    return execute


def test_the_page_of_questions_is_what_is_declared():
    assert DOCS["reference"]() == DOCS["PAGE"].read_text(encoding="utf-8"), "make docs"


def test_no_question_says_a_second_time_what_a_summary_table_says():
    """Remedies, causes and failures have one definition: that of `analysis`."""
    words = {word.removesuffix("s") for word in SUMMARIES}
    assert not [name for name in BY_NAME if words & set(name.split("_"))]


def test_a_sweep_is_taken_alone_where_it_is_named(ask):
    rows = ask("which_settings_leak")
    for sweep in ("traced", "with failures", "no such"):
        alone = [row for row in rows if row["sweep"] == sweep]
        assert ask("which_settings_leak", sweep=sweep) == alone
    assert ask("trace", sweep="traced") == ask("trace") != []
    assert ask("trace", sweep="no such") == []


def test_where_seeds_disagree_is_a_setting_that_leaks_with_one_and_holds_with_another(ask, change):
    assert ask("where_seeds_disagree") == []
    change(
        "CREATE TEMP TABLE twin AS SELECT * FROM trial WHERE verdict = 'leaks' ORDER BY id LIMIT 1",
        "UPDATE twin SET id = 9999, seed = 7, verdict = 'holds', fingerprint = 'another'",
        "INSERT INTO trial SELECT * FROM twin",
    )
    (row,) = ask("where_seeds_disagree")
    assert (row["sweep"], row["leaks"], row["holds"]) == ("traced", 1, 1)
    assert ask("where_seeds_disagree", sweep="with failures") == []


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("which_settings_leak", ("sweep", "optimizer")),
        ("where_seeds_disagree", ("sweep",)),
        ("trace", ("sweep", "trial_id")),
    ],
)
def test_parameters_are_found_in_the_sql(name, parameters):
    assert BY_NAME[name].parameters == parameters


def test_settings_that_leak_are_all_there_and_no_others(ask, url):
    frame = load_trials(url)
    leaks = frame[frame["verdict"] == "leaks"]
    assert sum(row["leaks"] for row in ask("which_settings_leak")) == len(leaks)
    of_adam = ask("which_settings_leak", optimizer="Adam")
    assert {row["optimizer"] for row in of_adam} == {"Adam"}
    assert sum(row["leaks"] for row in of_adam) == (leaks["optimizer"] == "Adam").sum()


def test_without_a_trial_it_is_the_first_that_leaks(ask, url):
    frame = load_trials(url)
    first = frame.loc[frame["verdict"] == "leaks", "id"].min()
    assert {row["trial_id"] for row in ask("trace")} == {first}


@pytest.mark.parametrize("trial_id", ["999999", "x' OR 1 = 1 --", "-1"])
def test_a_trial_that_is_not_there_has_no_rows(ask, trial_id):
    assert ask("trace", trial_id=trial_id) == []


def test_the_trace_is_the_steps_as_recorded(ask, url):
    rows = ask("trace")
    assert [row["step"] for row in rows] == list(range(8))
    assert [row["layer_is"] for row in rows] == ["attached", "frozen"] * 4
    frame = load_trials(url).set_index("id")
    leaks = [row["step"] for row in rows if row["layer_did"] == "leak"]
    assert leaks[0] == frame.loc[rows[0]["trial_id"], "first_leak_step"]
    assert len(leaks) == frame.loc[rows[0]["trial_id"], "leaked_steps"]
