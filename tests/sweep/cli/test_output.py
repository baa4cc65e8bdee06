import csv
import io
import json
import math
import sys

import pytest

from sweep.cli.output import PRINTED, Format, print_rows

COLUMNS = ("text", "number", "nothing")
ROWS = [
    ("plain", 1, None),
    ("a|b", 0.1, None),
    ("ünï — 日本", 1e-300, None),
    ('comma, and "quotes"', 123456789.123, None),
    ("back\\slash", -0.0, None),
    ("", math.inf, None),
]


def printed(capsys, name, rows=ROWS, columns=COLUMNS):
    print_rows(columns, iter(rows), Format(name))
    return capsys.readouterr().out


def test_csv_and_json_hold_the_same_exact_values(capsys):
    from_csv = list(csv.reader(io.StringIO(printed(capsys, "csv"))))
    from_json = json.loads(printed(capsys, "json"))
    assert tuple(from_csv[0]) == COLUMNS
    assert all(tuple(record) == COLUMNS for record in from_json)
    for (text, number, nothing), record, row in zip(from_csv[1:], from_json, ROWS, strict=True):
        assert (text, float(number), nothing) == (row[0], row[1], "")
        assert (record["text"], float(record["number"]), record["nothing"]) == row


def test_table_and_markdown_show_the_same_cells(capsys):
    rows = [row for row in ROWS if "|" not in row[0] and "\\" not in row[0]]
    markdown = printed(capsys, "markdown", rows).splitlines()
    table = printed(capsys, "table", rows).splitlines()
    assert len(markdown) == len(table) == len(rows) + 2
    for shown, line in zip(table, markdown, strict=True):
        if "---" not in line:
            assert shown.split() == [word for word in line.split() if word != "|"]


def test_markdown_escapes_what_would_end_a_cell(capsys):
    lines = printed(capsys, "markdown", [("a|b\\c\nd", 1, None)]).splitlines()
    assert lines[2] == "| a\\|b\\\\c d | 1 |  |"


def test_people_see_six_digits_and_no_null(capsys):
    line = printed(capsys, "table", [("x", 123456789.123, None)]).splitlines()[2]
    assert line.split() == ["x", "1.23457e+08"]


def test_json_keeps_null_and_writes_infinity_as_text(capsys):
    rows = [("a", math.inf, None), ("b", -math.inf, 1)]
    assert json.loads(printed(capsys, "json", rows)) == [
        {"text": "a", "number": "inf", "nothing": None},
        {"text": "b", "number": "-inf", "nothing": 1},
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("csv", "text,number,nothing\n"),
        ("json", "[]\n"),
        ("markdown", "| text | number | nothing |\n| --- | --- | --- |\n"),
    ],
)
def test_no_rows_are_a_header_alone(capsys, name, expected):
    assert printed(capsys, name, []) == expected


HOSTILE = ["\x1b[31mred", "\x1b]0;title\x07", "a\x9bb", "bell\x07", "back\x08space", "ret\rurn"]


@pytest.mark.parametrize("name", PRINTED)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_control_character_reaches_the_terminal(capsys, monkeypatch, name, text):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    out = printed(capsys, name, [(text, 1, None)], (f"{text} heading", "number", "nothing"))
    assert not any((ord(sign) < 32 and sign != "\n") or 127 <= ord(sign) < 160 for sign in out)


def test_text_is_no_markup(capsys):
    assert "[bold]x[/bold]" in printed(capsys, "table", [("[bold]x[/bold]", 1, None)])


def test_csv_is_exact_where_it_does_not_go_to_a_terminal(capsys):
    out = printed(capsys, "csv", [("\x1b[31mred", 1, None)])
    assert next(csv.DictReader(io.StringIO(out)))["text"] == "\x1b[31mred"


def test_people_see_how_many_bytes_there_are_and_the_beginning_of_what_is_huge(capsys):
    out = printed(capsys, "table", [(b"\0" * 2_000_000, 1, "x" * 2_000_000)])
    assert "(2,000,000 bytes)" in out
    assert f"{'x' * 10_000}... (2,000,000 characters)" in out
    assert len(out) < 50_000
