import runpy
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.load import load_trials
from analysis.tables import SUMMARIES
from sweep.serve.queries import QUERIES
from sweep.store.query import sweep_status

REPOSITORY = Path(__file__).parents[3]
DOCS = runpy.run_path(str(REPOSITORY / "docs" / "make_queries.py"))
BY_NAME = {query.name: query for query in QUERIES}
CAUSES = ("by_history", "by_decay", "by_gradient", "by_intrinsic", "despite_none")


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
    """Changes the database by one statement."""

    def execute(statement, *values):
        with closing(sqlite3.connect(database)) as opened, opened:
            opened.execute(statement, values)

    return execute


def test_the_page_of_questions_is_what_is_declared():
    assert DOCS["reference"]() == DOCS["PAGE"].read_text(encoding="utf-8"), "make docs"


def test_no_question_says_a_second_time_what_a_summary_table_says():
    """Remedies, causes and failures have one definition: that of `analysis`."""
    words = {word.removesuffix("s") for word in SUMMARIES}
    assert not [name for name in BY_NAME if words & set(name.split("_"))]


@pytest.mark.parametrize("name", BY_NAME)
def test_every_question_has_an_answer(ask, name):
    assert ask(name)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("which_settings_leak", ("optimizer",)),
        ("what_moved_this_layer", ("trial_id",)),
        ("trace", ("trial_id",)),
        ("progress", ()),
    ],
)
def test_parameters_are_found_in_the_sql(name, parameters):
    assert BY_NAME[name].parameters == parameters


def test_progress_says_what_status_says(ask, url):
    counts = ("planned", "done", "failed", "remaining", "leaks", "holds", "inert")
    told = {row["sweep"]: [row[name] for name in counts] for row in ask("progress")}
    status = {s.name: [getattr(s, name) for name in counts] for s in sweep_status(url)}
    assert told == status
    assert status["with failures"][2] > 0


def test_a_running_sweep_has_a_pace_and_an_end(ask, change):
    now = datetime.now(UTC).replace(tzinfo=None)
    change("DELETE FROM trial WHERE sweep_id = 1 AND id % 2")
    change("UPDATE trial SET finished_at = ?", f"{now - timedelta(hours=1)}")
    change("UPDATE trial SET finished_at = ? WHERE id = 2", f"{now - timedelta(seconds=60)}")
    change("UPDATE trial SET finished_at = ? WHERE id IN (4, 6)", f"{now}")
    (traced,) = [row for row in ask("progress") if row["sweep"] == "traced"]
    assert traced["state"] == "running"
    assert traced["percent"] == 50.0
    assert traced["trials_a_minute"] == 2.0
    assert traced["minutes_left"] == round(traced["remaining"] / 2, 1)


def test_a_sweep_that_nobody_runs_has_no_end(ask, change):
    change("DELETE FROM trial WHERE id = 1")
    change("UPDATE trial SET finished_at = '2020-01-01 00:00:00.000000'")
    (traced,) = [row for row in ask("progress") if row["sweep"] == "traced"]
    assert traced["state"] == "nothing new for a minute"
    assert traced["minutes_left"] is None


def test_a_sweep_without_trials_is_at_its_start(ask, change):
    change("DELETE FROM step")
    change("DELETE FROM trial")
    for row in ask("progress"):
        assert (row["percent"], row["done"], row["remaining"]) == (0.0, 0, row["planned"])
        assert row["trials_a_minute"] is None


def test_settings_that_leak_are_all_there_and_no_others(ask, url):
    frame = load_trials(url)
    leaks = frame[frame["verdict"] == "leaks"]
    assert sum(row["leaks"] for row in ask("which_settings_leak")) == len(leaks)
    of_adam = ask("which_settings_leak", optimizer="Adam")
    assert {row["optimizer"] for row in of_adam} == {"Adam"}
    assert sum(row["leaks"] for row in of_adam) == (leaks["optimizer"] == "Adam").sum()


def test_what_moved_a_layer_is_what_its_trial_recorded(ask, url):
    frame = load_trials(url).set_index("id")
    for trial_id in frame.index[frame["verdict"] == "leaks"]:
        rows = ask("what_moved_this_layer", trial_id=str(trial_id))
        told = [row["is_a_cause"] for row in rows]
        assert told == ["yes" if frame.loc[trial_id, cause] else "no" for cause in CAUSES]


def test_without_a_trial_it_is_the_first_that_leaks(ask, url):
    frame = load_trials(url)
    first = frame.loc[frame["verdict"] == "leaks", "id"].min()
    assert {row["trial_id"] for row in ask("what_moved_this_layer")} == {first}
    assert {row["trial_id"] for row in ask("trace")} == {first}


@pytest.mark.parametrize("verdict", ["holds", "failed"])
def test_a_trial_that_does_not_leak_has_no_cause(ask, url, verdict):
    frame = load_trials(url)
    trial_id = frame.loc[frame["verdict"] == verdict, "id"].min()
    rows = ask("what_moved_this_layer", trial_id=str(trial_id))
    assert {row["is_a_cause"] for row in rows} == {f"not asked: {verdict}"}


@pytest.mark.parametrize("name", ["what_moved_this_layer", "trace"])
@pytest.mark.parametrize("trial_id", ["999999", "x' OR 1 = 1 --", "-1"])
def test_a_trial_that_is_not_there_has_no_rows(ask, name, trial_id):
    assert ask(name, trial_id=trial_id) == []


def test_the_trace_is_the_steps_as_recorded(ask, url):
    rows = ask("trace")
    assert [row["step"] for row in rows] == list(range(8))
    assert [row["layer_is"] for row in rows] == ["attached", "frozen"] * 4
    frame = load_trials(url).set_index("id")
    leaks = [row["step"] for row in rows if row["layer_did"] == "leak"]
    assert leaks[0] == frame.loc[rows[0]["trial_id"], "first_leak_step"]
    assert len(leaks) == frame.loc[rows[0]["trial_id"], "leaked_steps"]
