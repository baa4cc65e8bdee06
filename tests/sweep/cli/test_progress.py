"""The line that a running sweep shows: true, and whole where there is little room."""

import sys
from types import SimpleNamespace

import pytest

from sweep.cli.progress import ProgressLine, shown_progress
from sweep.driver import Progress
from sweep.values.words import Verdict

RUNNING = Progress(1828, 100, {Verdict.LEAKS: 9, Verdict.HOLDS: 1191}, 30.0, a_second=6.0)


def line(progress, width=200):
    shown = ProgressLine("article")
    shown.observe(progress)
    return shown.of_width(width)


def test_until_the_first_outcome_workers_are_starting():
    assert "0/30 starting workers, 0 s" in line(Progress(30, 0, {}, 0.0))


def test_the_time_left_is_that_of_the_rate_of_late():
    assert "1,300/1,828 6/s 1:28 left leaks 9, holds 1,191" in line(RUNNING)


def test_no_rate_is_told_before_there_is_one():
    text = line(Progress(30, 0, {Verdict.HOLDS: 1}, 7.0))
    assert "/s" not in text
    assert "left" not in text


@pytest.mark.parametrize("width", [12, 20, 40, 60])
def test_the_count_is_whole_however_little_room_there_is(width):
    text = line(RUNNING, width)
    assert "1,300/1,828" in text
    assert len(text) <= width


def test_what_is_finished_has_neither_rate_nor_time_left():
    assert "left" not in line(Progress(30, 10, {Verdict.HOLDS: 20}, 7.0, a_second=3.0))


def test_what_becomes_of_a_recorded_sweep_is_told_once(capsys):
    with shown_progress("article") as observe:
        observe(Progress(60, 30, {}, 0.0, extended_from=30))
        observe(Progress(60, 30, {Verdict.HOLDS: 1}, 1.0, extended_from=30))
    err = capsys.readouterr().err
    assert err.splitlines() == [
        "Extends article from 30 to 60 trials.",
        "article: 30 of 60 trials are recorded.",
    ]


def test_a_part_of_a_recorded_sweep_is_told(capsys):
    with shown_progress("article") as observe:
        observe(Progress(10, 10, {}, 0.0, part_of=60))
    assert capsys.readouterr().err == "A part of article: 10 of its 60 trials.\n"


def interrupted(progress):
    """What an interruption says, of a sweep that has come so far."""

    def body():
        with shown_progress("article", shown=False, again="the same call") as observe:
            observe(progress)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        body()
    return raised.value.args


def test_an_interruption_says_that_what_was_finished_is_recorded():
    kept = "What was finished is recorded; the same call goes on from there."
    assert interrupted(RUNNING) == (kept,)


def test_an_interruption_before_anything_was_finished_claims_nothing():
    assert interrupted(Progress(30, 0, {}, 0.0)) == ()


def test_on_a_terminal_the_line_is_written_over_and_leaves_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "40")
    with shown_progress("article") as observe:
        observe(RUNNING)
    assert capsys.readouterr().out == ""


def test_in_a_notebook_one_line_of_output_is_kept_up_to_date(monkeypatch):
    shown = []
    handle = SimpleNamespace(update=lambda data, raw: shown.append(data["text/plain"]))
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))

    def display(data, *, raw, display_id):
        shown.append(data["text/plain"])
        return handle

    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    with shown_progress("article") as observe:
        observe(RUNNING)
        observe(Progress(30, 10, {Verdict.HOLDS: 20}, 7.0))
    assert shown[0] == "article"
    assert "1,300/1,828" in shown[1]
    assert shown[-1].endswith("30/30 holds 20")
