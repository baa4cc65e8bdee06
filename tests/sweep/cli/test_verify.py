"""`leaksweep verify`: what it prints, and the code it ends with."""

import csv
import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

HERE = ("--jobs", "1")
REFERENCE = Path(__file__).parents[3] / "results" / "reference" / "article" / "trials.csv.gz"


def alter(database, statement):
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


def test_where_all_agree_it_says_so_and_ends_with_0(leaksweep, url):
    done = leaksweep("verify", "held", *HERE)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "Replayed 8 of 8 recorded trials: 8 agree. Every column of the outcome was compared, "
        "bit for bit.\n"
    )


def test_what_differs_is_a_table_with_every_digit_and_ends_with_1(leaksweep, url, database):
    alter(database, "UPDATE trial SET initial_loss = 1.1234567890123456 WHERE id = 3")
    done = leaksweep("verify", "held", *HERE)
    assert done.code == 1
    header, _, row, *rest = done.out.splitlines()
    assert header.split() == ["trial", "setting", "column", "recorded", "now"]
    assert row.startswith("Trial 3")
    assert "lr=0.001 weight_decay=0.0 momentum=" in row
    assert "initial_loss   1.1234567890123457" in row
    assert rest == [
        "Replayed 8 of 8 recorded trials: 7 agree, 1 differ. Every column of the outcome was "
        "compared, bit for bit."
    ]


def test_in_other_formats_stdout_has_the_rows_alone(leaksweep, url, database):
    alter(database, "UPDATE trial SET leaked_steps = 9, first_leak_step = NULL WHERE id = 2")
    done = leaksweep("verify", "held", *HERE, "--format", "csv")
    assert done.code == 1
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert {row["trial"] for row in rows} == {"Trial 2"}
    assert rows[0]["recorded"] == "9"
    assert "7 agree, 1 differ" in done.err


def test_elsewhere_it_says_what_is_not_as_recorded(leaksweep, url, database):
    alter(database, "UPDATE environment SET cpu = 'another', torch = '2.9.0'")
    alter(database, "UPDATE trial SET final_loss = 0 WHERE id = 1")
    done = leaksweep("verify", "held", *HERE)
    assert done.code == 0
    assert done.out == (
        "Replayed 8 of 8 recorded trials: 8 agree (7 of them bit for bit). Not as recorded: "
        "torch, cpu. So verdicts and causes had to agree, and bits need not.\n"
    )


def test_what_could_not_be_replayed_is_in_the_table_with_the_reason(leaksweep, url):
    done = leaksweep("verify", "with failures", *HERE)
    assert done.code == 1
    assert done.out.count("(not replayed)") == 4
    assert "add --allow-import" in done.out
    assert "Replayed 4 of 8 recorded trials: 4 agree, 4 could not be replayed." in done.out
    allowed = leaksweep("verify", "with failures", *HERE, "--allow-import")
    assert (allowed.code, allowed.out.count("\n")) == (0, 1)


def test_a_sample_is_replayed_and_the_rest_is_not(leaksweep, url):
    done = leaksweep("verify", "--sample", "3", "--seed", "5", *HERE, "--allow-import")
    assert done.code == 0
    assert done.out.startswith("Replayed 3 of 16 recorded trials: 3 agree.")


def test_a_file_of_the_reference_results_is_replayed(leaksweep):
    done = leaksweep("verify", "--from", REFERENCE, "--sample", "2", *HERE)
    assert done.code == 0
    assert done.out.startswith("Replayed 2 of 30 recorded trials: 2 agree")


def test_long_replays_say_how_far_they_are(leaksweep, url, monkeypatch):
    monkeypatch.setattr("sweep.cli.verify.LINE_EVERY_S", 0.0)
    done = leaksweep("verify", "held", *HERE)
    assert done.err.splitlines()[0] == "1/8: 1 agree"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("helt",), 1, "There is no sweep 'helt'. Did you mean 'held'?"),
        (("held", "--from", "x.csv"), 2, "A file of trials has no sweeps in it"),
        (("--from", "x.csv"), 1, "There is no file x.csv."),
        (("--trial-timeout", "-1"), 2, "--trial-timeout"),
        (("--sample", "0"), 2, "Invalid value for '--sample'"),
        (("--db", "sqlite:///none.db"), 1, "There is no database at sqlite:///none.db"),
    ],
)
def test_a_mistake_has_one_message_and_no_traceback(leaksweep, url, words, code, message):
    done = leaksweep("verify", *words)
    assert (done.code, done.out) == (code, "")
    assert message in " ".join(done.err.split())
    assert "Traceback" not in done.err
