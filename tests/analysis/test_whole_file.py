"""A file is the old one until the new one is whole."""

import pytest

from analysis.whole_file import whole_file


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
