"""Tables at any width from 40 columns up: no number is lost, and all of it fits."""

import math
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from sweep.cli.output import Format, print_rows
from sweep.cli.screen import print_table

WIDE = tuple(f"column_{number}" for number in range(30))
DRIFTS = [6.196e8, 7.76e7, 2.5, math.inf, 1e-300]


@pytest.fixture
def drawn(capsys, monkeypatch):
    """What a table looks like at a width."""

    def draw(width, columns, rows):
        monkeypatch.setenv("COLUMNS", str(width))
        print_rows(columns, rows, Format.TABLE)
        return capsys.readouterr().out

    return draw


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_number_is_lost(drawn, width):
    out = drawn(width, WIDE, [(*DRIFTS, *["word"] * 25)] * 2)
    for number in DRIFTS:
        assert len(re.findall(rf"(?<!\S){re.escape(f'{number:.6g}')}(?!\S)", out)) == 2
    assert max(map(cell_len, out.splitlines())) <= width
    assert "…" not in out


def test_what_fits_is_a_line_a_row(drawn):
    out = drawn(40, ("id", "drift"), [(1, 6.196e8), (2, 1.0)])
    assert out.splitlines()[2:] == [" 1   6.196e+08", " 2           1"]


def test_what_does_not_fit_is_a_record_a_row_with_numbers_aligned(drawn):
    out = drawn(40, ("optimizer", "max_drift", "lr", "what_happened_then"), [ROW, ROW])
    assert out.splitlines()[:5] == [
        "── 1 ───────────────────────────────────",
        "optimizer           pytorch_optimizer.ad",
        "                    opt",
        "max_drift           6.196e+08",
        "lr                        0.5",
    ]


ROW = ("pytorch_optimizer.adopt", 6.196e8, 0.5, "it ended")


def test_a_name_as_wide_as_the_screen_stands_above_its_value(drawn):
    out = drawn(40, ("a" * 39, "b"), [(1234567, "c")])
    assert out.splitlines()[1:5] == ["a" * 39, "  1234567", "b", "  c"]


def test_prose_is_folded_between_words_before_rows_become_records(drawn):
    text = "the replay did not repeat the trial's own bits"
    out = drawn(48, ("id", "unexplained", "drift"), [(1, text, 6.196e8)])
    assert "──  1" not in out
    assert "6.196e+08" in out
    assert [word for word in text.split() if word not in out.split()] == []


@given(
    width=st.integers(40, 120),
    cells=st.lists(
        st.tuples(st.floats(allow_nan=False), st.text(max_size=60), st.integers(-(2**63), 2**63)),
        min_size=1,
        max_size=4,
    ),
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_cells_numbers_are_whole_and_lines_fit(cells, width):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        out = printed_by(patch, cells)
    shown = out.split()
    for number, _, whole in cells:
        assert f"{number:.6g}" in shown
        assert str(whole) in shown
    assert max(map(cell_len, out.splitlines())) <= width


def printed_by(patch, cells):
    import io

    stream = io.StringIO()
    patch.setattr("sys.stdout", stream)
    print_rows(("a_number", "some text", "a_whole_number"), cells, Format.TABLE)
    return stream.getvalue()


def test_a_table_of_no_rows_is_its_heads(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    print_table(WIDE[:3], [])
    assert capsys.readouterr().out.split()[:3] == list(WIDE[:3])


def test_where_nobody_says_how_wide_a_row_is_a_line(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_rows(WIDE, [range(30)] * 2, Format.TABLE)
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_ten_thousand_rows_are_aligned_and_take_no_time(drawn):
    rows = [("日本" if number % 2 else "wide", number) for number in range(10_000)]
    started = time.process_time()
    lines = drawn(40, ("name", "number"), rows).splitlines()
    assert time.process_time() - started < 2.0
    assert lines[:3] == ["name   number", "─────────────", "wide        0"]
    assert {cell_len(line) for line in lines} == {13}
