"""Sweeps are listed, renamed, deleted and merged by command, on copies of a database."""

import io
import shutil
import sys

import pytest

from sweep.store.query import sweep_status


@pytest.fixture
def mine(url, tmp_path):
    """The path of a copy that may be changed."""
    return str(shutil.copy(url.removeprefix("sqlite:///"), tmp_path / "mine.db"))


def names(db):
    return [status.name for status in sweep_status(db)]


def test_a_renamed_sweep_is_listed_by_its_new_name(leaksweep, mine):
    ended = leaksweep("sweep", "rename", "held", "mine", "--db", mine)
    assert (ended.code, ended.err) == (0, "The sweep 'held' is called 'mine' now.\n")
    listed = leaksweep("sweep", "list", "--db", mine, "--format", "csv").out
    assert "\nmine," in listed
    assert "\nheld," not in listed


@pytest.mark.parametrize(("answer", "goes"), [("y\n", True), ("n\n", False), ("", False)])
def test_deleting_asks_and_says_what_goes(leaksweep, mine, monkeypatch, answer, goes):
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    ended = leaksweep("sweep", "delete", "held", "--db", mine)
    assert "Delete the sweep 'held' with 8 trials and" in ended.err
    assert (ended.code, "held" in names(mine)) == ((0, False) if goes else (1, True))


def test_merging_says_what_came_in_and_the_same_again_adds_nothing(leaksweep, mine, tmp_path):
    new = tmp_path / "new.db"
    for added in (8, 0):
        ended = leaksweep("sweep", "merge", mine, "--db", new, "--format", "csv")
        assert ended.code == 0
        assert f"held,{added},{8 - added}\n" in ended.out
    assert names(str(new)) == names(mine)


@pytest.mark.parametrize(
    "words", [("rename", "hold", "x"), ("delete", "hold"), ("merge", "none.db")]
)
def test_what_is_not_there_is_told_and_no_database_is_made(leaksweep, tmp_path, mine, words):
    ended = leaksweep("sweep", *words, "--db", mine)
    assert ended.code == 1
    ended = leaksweep("sweep", *words, "--db", tmp_path / "new.db")
    assert (ended.code, "There is no database at" in ended.err) == (1, True)
    assert not (tmp_path / "new.db").exists()
