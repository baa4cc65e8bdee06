"""Recorded trials are run again, and what they show is held against what was recorded."""

import csv
import gzip
import math
import re
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

from sweep.errors import MisuseError, NotThereError
from sweep.running.runner import Runner
from sweep.store.store import Store
from sweep.trial.trial import run_trial
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Freeze, ZeroGrad
from sweep.verifying.comparison import Difference
from sweep.verifying.recorded_trial import PLAN, SHOWN_COLUMNS, SURROUNDINGS
from sweep.verifying.rerun import replayed, sample
from sweep.verifying.trial_sources import open_trials

LEAKING = Setting("SGD", 0.1, 0.1, 0.9, ZeroGrad.ZERO)
HOLDING = Setting("Adam", 0.1, 0.0, 0.9, ZeroGrad.NONE, freeze=Freeze.GRAD_NONE)
INERT = Setting("SGD", 0.0, 0.0, 0.0, ZeroGrad.ZERO)
FAILING = Setting("faulty:RaisesAtStep7", 0.1, 0.0, 0.0, ZeroGrad.NONE)
SWEEPS = {"mixed": [LEAKING, HOLDING, INERT], "traced": [LEAKING], "bad": [FAILING]}
HERE = Runner(1, trace=True)


def trial(setting):
    return PlannedTrial(setting, "small", 8)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "sweep.db"
    with Store.open(f"sqlite:///{path}") as store:
        for name, settings in SWEEPS.items():
            sweep = store.record_sweep(name, "{}", len(settings))
            outcomes = [run_trial(trial(each), trace=name == "traced") for each in settings]
            store.write(sweep.id, outcomes)
        store.record_sweep("empty", "{}", 1)
    return path


@pytest.fixture
def url(made_once, tmp_path):
    """A database with each verdict, a traced sweep, and one without trials."""
    return f"sqlite:///{shutil.copy(made_once, tmp_path / 'sweep.db')}"


def execute(url, statement, *values):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        rows = connection.execute(statement, values).fetchall()
        connection.commit()
    return rows


def verified(url, sweep=None, *, file=None, runner=HERE, allow_import=True):
    records = open_trials(url, sweep=sweep, file=file)
    return list(replayed(records, records.numbers, runner, allow_import=allow_import))


def verified_leak(url):
    """The comparison of the one trial of the sweep `traced`, which leaks."""
    (comparison,) = verified(url, "traced")
    return comparison


class TestWhereNothingElseDiffers:
    def test_every_trial_shows_every_bit_of_what_was_recorded(self, url):
        comparisons = verified(url)
        verdicts = Counter(each.record.columns["verdict"] for each in comparisons)
        assert verdicts == {"leaks": 2, "holds": 1, "inert": 1, "failed": 1}
        assert all(each.agrees for each in comparisons)
        assert [each for each in comparisons if each.bits or each.elsewhere] == []

    @pytest.mark.slow
    def test_in_worker_processes_too(self, url):
        comparisons = verified(url, runner=Runner(2, trace=True))
        assert [each for each in comparisons if each.bits or not each.agrees] == []

    @pytest.mark.parametrize(
        ("column", "altered"),
        [
            ("verdict", "holds"),
            ("moved", False),
            ("sideways", True),
            ("frozen_steps", 5),
            ("leaked_steps", 1),
            ("first_leak_step", 3),
            ("max_drift", 0.5),
            ("total_drift", None),
            ("attached_motion", math.inf),
            ("drift_ratio", -1.0),
            ("initial_loss", "text"),
            ("final_loss", 0.0),
            ("diverged", True),
            ("by_history", False),
            ("by_decay", None),
            ("by_gradient", True),
            ("by_intrinsic", True),
            ("despite_none", True),
        ],
    )
    def test_a_column_that_differs_is_named_with_both_values(self, url, column, altered):
        ((before,),) = execute(url, f"SELECT {column} FROM trial WHERE sweep_id = 2")
        execute(url, f"UPDATE trial SET {column} = ? WHERE sweep_id = 2", altered)
        comparison = verified_leak(url)
        assert not comparison.agrees
        assert comparison.differences == (Difference(column, altered, before),)
        assert type(comparison.differences[0].recorded) is type(altered)

    def test_every_column_that_a_trial_shows_is_compared(self, url):
        columns = {name for (name,) in execute(url, "SELECT name FROM pragma_table_info('trial')")}
        not_shown = {*PLAN, *SURROUNDINGS, "train_seconds", "finished_at", "proposal"}
        assert set(SHOWN_COLUMNS) == columns - not_shown - {"id", "sweep_id", "environment_id"}

    def test_the_last_bit_of_a_number_counts(self, url):
        ((loss,),) = execute(url, "SELECT final_loss FROM trial WHERE sweep_id = 2")
        nearly = math.nextafter(loss, 0)
        execute(url, "UPDATE trial SET final_loss = ? WHERE sweep_id = 2", nearly)
        assert verified_leak(url).differences == (Difference("final_loss", nearly, loss),)

    def test_the_first_step_that_differs_is_named(self, url):
        execute(url, "UPDATE step SET grad = 'none', moved = 0 WHERE step IN (3, 5)")
        assert verified_leak(url).differences == (
            Difference("step 3: grad", "none", "zero"),
            Difference("step 3: moved", False, True),
        )

    def test_a_step_that_is_not_there_is_noticed(self, url):
        execute(url, "DELETE FROM step WHERE step = 7")
        assert verified_leak(url).differences == (Difference("rows of step", 7, 8),)

    def test_a_failed_trial_must_fail_with_an_error_of_the_same_type(self, url):
        execute(url, "UPDATE trial SET error = 'ArithmeticError: at 0x7f' WHERE sweep_id = 3")
        assert [each.agrees for each in verified(url, "bad")] == [True]
        execute(url, "UPDATE trial SET error = 'ValueError: no eighth step' WHERE sweep_id = 3")
        (comparison,) = verified(url, "bad")
        now = "ArithmeticError: no eighth step"
        assert comparison.differences == (Difference("error", "ValueError: no eighth step", now),)

    def test_of_a_trial_that_fails_only_now_verdict_and_error_are_named(self, url):
        execute(url, "UPDATE trial SET verdict = 'holds', error = NULL WHERE sweep_id = 3")
        (comparison,) = verified(url, "bad")
        assert [each.column for each in comparison.differences] == ["verdict", "error"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE environment SET torch = '2.9.0'",
        "UPDATE environment SET cpu = 'another'",
        "UPDATE environment SET device = 'cuda (H200)'",
        "UPDATE trial SET optimizer_package = 'torch 2.9.0'",
    ],
)
class TestElsewhere:
    def test_bits_need_not_be_the_same(self, url, statement):
        execute(url, statement)
        execute(url, "UPDATE trial SET final_loss = 0.5, leaked_steps = 2")
        comparison = verified_leak(url)
        assert comparison.agrees
        assert [each.column for each in comparison.bits] == ["leaked_steps", "final_loss"]
        assert len(comparison.elsewhere) == 1

    @pytest.mark.parametrize(
        ("column", "altered"), [("verdict", "inert"), ("by_decay", False), ("sideways", True)]
    )
    def test_verdict_and_causes_must_be(self, url, statement, column, altered):
        execute(url, statement)
        execute(url, f"UPDATE trial SET {column} = ?", altered)
        assert [each.column for each in verified_leak(url).differences] == [column]


class TestWhatCannotBeReplayed:
    @pytest.mark.parametrize(
        ("statement", "message"),
        [
            ("UPDATE trial SET seed = 9", "Trial 1 in .* has a fingerprint of another setting; it"),
            ("UPDATE trial SET fingerprint = 'of 0.0.1'", "recorded by another version of this"),
            ("UPDATE trial SET optimizer = 'Adma'", "Trial 1 in .* cannot be run again here: .*"),
            ("UPDATE trial SET options = '{'", "Trial 1 in .* cannot be run again here: .*"),
        ],
    )
    def test_it_is_refused_and_the_others_are_replayed(self, url, statement, message):
        execute(url, f"{statement} WHERE id = 1")
        comparisons = verified(url, "mixed")
        assert sorted(each.agrees for each in comparisons) == [False, True, True]
        (refused,) = [each for each in comparisons if each.refusal]
        assert re.search(message, refused.refusal)
        assert refused.differences == ()

    def test_code_that_the_database_names_runs_only_where_allowed(self, url):
        (comparison,) = verified(url, "bad", allow_import=False)
        assert "add --allow-import" in comparison.refusal
        assert not comparison.agrees

    def test_what_watch_recorded_is_left_out(self, url):
        execute(url, "UPDATE trial SET workload = 'watch' WHERE id = 1")
        assert {each.record.number for each in verified(url, "mixed")} == {2, 3}


def test_a_trial_that_two_sweeps_have_is_compared_for_both_and_run_once(url):
    ran = []

    class ReadsAhead:
        def run(self, trials):
            ran.extend(trials)
            yield from (run_trial(planned, trace=True) for planned in ran)

    comparisons = verified(url, runner=ReadsAhead())
    assert len(comparisons) == 5
    assert all(each.agrees for each in comparisons)
    assert [each.setting for each in ran].count(LEAKING) == 1


@pytest.mark.parametrize("name", ["every:30", "every:20", "after:1"])
def test_a_schedule_with_another_name_than_todays_is_replayed_by_its_own(tmp_path, name):
    """Until 0.1 several names of the same frozen steps were several trials: those stay."""
    url = f"sqlite:///{tmp_path}/sweep.db"
    planned = PlannedTrial(replace(LEAKING, schedule=name), "small", 20)
    with Store.open(url) as store:
        store.write(store.record_sweep("old", "{}", 1).id, [run_trial(planned)])
    (comparison,) = verified(url, runner=Runner(1))
    assert (comparison.refusal, comparison.bits) == (None, ())


def test_the_database_is_left_byte_for_byte_as_it_was(url, tmp_path):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert all(each.agrees for each in verified(url))
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) <= {"sweep.db-shm", "sweep.db-wal"}
    assert after.get("sweep.db-wal", b"") == b""


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("mixd", r"There is no sweep 'mixd'. Did you mean 'mixed'\?"),
        ("empty", "There is no trial in sqlite:///.* that could be replayed"),
    ],
)
def test_a_sweep_without_trials_is_not_there(url, sweep, message):
    with pytest.raises(NotThereError, match=message):
        open_trials(url, sweep=sweep)


class TestSample:
    def test_the_same_seed_draws_the_same_trials(self):
        assert sample(range(1000), 20, seed=3) == sample(range(1000), 20, seed=3)
        assert sample(range(1000), 20, seed=3) != sample(range(1000), 20, seed=4)

    def test_it_draws_none_twice_and_no_other(self):
        numbers = [3, 5, 8, 13, 21, 34]
        for seed in range(50):
            drawn = sample(numbers, 4, seed)
            assert len(set(drawn)) == 4
            assert set(drawn) <= set(numbers)

    def test_none_is_all(self):
        assert sample([5, 2], None, seed=0) == [5, 2]


@pytest.fixture
def file(url, tmp_path):
    """Writes the trials of `mixed` to a CSV file, as results/make_reference.py does."""

    def write(name="trials.csv.gz", columns=(*PLAN, *SHOWN_COLUMNS, *SURROUNDINGS), add=()):
        rows = execute(
            url,
            f"SELECT {', '.join(columns)} FROM trial JOIN environment "
            "ON environment.id = environment_id WHERE sweep_id = 1",
        )
        lines = [dict(zip(columns, row, strict=True)) for row in rows]
        for line in lines:
            flags = {"moved", "diverged", "sideways", *(c for c in line if c.startswith("by_"))}
            for flag in {*flags, "despite_none"} & {c for c in line if line[c] is not None}:
                line[flag] = bool(line[flag])
        path = tmp_path / name
        with (gzip.open if name.endswith(".gz") else open)(path, "wt", newline="") as opened:
            writer = csv.DictWriter(opened, columns)
            writer.writeheader()
            writer.writerows([*lines, *add])
        return path

    return write


class TestAFile:
    @pytest.mark.parametrize("name", ["trials.csv.gz", "trials.csv"])
    def test_every_number_in_it_keeps_every_bit(self, url, file, name):
        comparisons = verified(url, file=file(name))
        assert len(comparisons) == 3
        assert [each for each in comparisons if each.bits or each.elsewhere] == []

    def test_without_columns_of_the_environment_verdict_and_causes_are_compared(self, url, file):
        execute(url, "UPDATE trial SET final_loss = 9.0")
        comparisons = verified(url, file=file(columns=(*PLAN, *SHOWN_COLUMNS, "optimizer_package")))
        assert all(each.agrees for each in comparisons)
        assert all([d.column for d in each.bits] == ["final_loss"] for each in comparisons)
        assert {d.recorded for each in comparisons for d in each.elsewhere} == {None}

    def test_a_value_that_is_none_of_its_column_is_shown_as_it_stands(self, url, file):
        path = file("trials.csv")
        path.write_text(path.read_text().replace("True", "Yes", 1))
        (differing,) = [each for each in verified(url, file=path) if not each.agrees]
        assert [d.recorded for d in differing.differences] == ["Yes"]

    def test_a_row_of_nothing_is_refused(self, url, file):
        (*fine, empty) = verified(url, file=file(add=[{"optimizer": "SGD"}]))
        assert all(each.agrees for each in fine)
        assert "Row 4 in" in empty.refusal

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"optimizer,lr\nSGD,1.0\n", "lacks the columns workload, steps, options.* A file of"),
            (b"", r"theirs.csv is empty\. A file of trials has the columns"),
            (b"\xff\xfe\x00", "cannot be read as CSV: .*decode"),
        ],
    )
    def test_a_file_of_something_else_is_refused(self, url, tmp_path, content, message):
        path = tmp_path / "theirs.csv"
        path.write_bytes(content)
        with pytest.raises(MisuseError, match=message):
            open_trials(url, file=path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ('"open\n', "cannot be read as CSV: .*EOF inside string"),
            ("\n" * 100 + "a\n" * 9, r"has more than 11 rows\."),
            (
                "x" * 9000,
                "holds more than 8,000 bytes once it is unpacked, .* Cut it into",
            ),
        ],
        ids=["open quote", "many rows", "many bytes"],
    )
    def test_what_would_take_more_than_a_file_of_trials_is_refused(
        self, url, file, monkeypatch, content, message
    ):
        monkeypatch.setattr("sweep.verifying.trials_file.MOST_BYTES", 8000)
        monkeypatch.setattr("sweep.verifying.trials_file.MOST_TRIALS", 11)
        path = file()
        with gzip.open(path, "at") as opened:
            opened.write(content)
        with pytest.raises(MisuseError, match=message):
            open_trials(url, file=path)

    @pytest.mark.parametrize(
        "row",
        ["a\rb", "a,b\r,c", "\0,\0", ",".join("x" * 99), "d" * 200_000, "9" * 5000 + "," * 9],
        ids=["carriage return", "two", "zero bytes", "many cells", "long cell", "long number"],
    )
    def test_a_row_that_is_none_of_a_trial_is_refused_and_the_others_are_not(self, url, file, row):
        path = file("trials.csv")
        path.write_text(path.read_text() + row + "\n", newline="")
        comparisons = verified(url, file=path)
        assert sum(each.agrees for each in comparisons) == 3
        assert all("Row" in each.refusal for each in comparisons if not each.agrees)
        assert not all(each.agrees for each in comparisons)

    def test_a_sample_of_it_is_read_in_order(self, url, file, monkeypatch):
        monkeypatch.setattr("sweep.verifying.trials_file.ROWS_AT_ONCE", 2)
        path = file()
        whole = open_trials(url, file=path).read([1, 2, 3])
        source = open_trials(url, file=path)
        parts = [source.read(numbers) for numbers in ([1], [3], [9])]
        assert [each for part in parts for each in part] == [whole[0], whole[2]]

    @pytest.mark.parametrize("cut", [0, 30])
    def test_a_damaged_gzip_file_is_refused(self, url, file, cut):
        path = file()
        path.write_bytes(path.read_bytes()[:cut] or b"no gzip")
        with pytest.raises(MisuseError, match=r"trials.csv.gz cannot be read as CSV"):
            open_trials(url, file=path)

    def test_a_file_that_is_not_there_is_not_there(self, url, tmp_path):
        with pytest.raises(NotThereError, match=r"There is no file .*none\.csv"):
            open_trials(url, file=tmp_path / "none.csv")

    def test_a_file_without_trials_has_none(self, url, tmp_path):
        path = tmp_path / "none.csv"
        path.write_text(",".join((*PLAN, *SHOWN_COLUMNS, "optimizer_package")) + "\n")
        with pytest.raises(NotThereError, match=r"There is no trial in .*none\.csv"):
            open_trials(url, file=path)


def test_steps_that_were_recorded_before_they_had_scores_agree(tmp_path):
    url = f"sqlite:///{tmp_path / 'sweep.db'}"
    planned = PlannedTrial(LEAKING, "digits", 10)
    with Store.open(url) as store:
        sweep = store.record_sweep("scored", "{}", 1)
        store.write(sweep.id, [run_trial(planned, trace=True)])
    for change in ("UPDATE step SET loss = loss", "UPDATE step SET score = NULL"):
        with closing(sqlite3.connect(tmp_path / "sweep.db")) as connection, connection:
            connection.execute(change)
        source = open_trials(url)
        (comparison,) = replayed(source, source.numbers, HERE)
        assert comparison.agrees
    with closing(sqlite3.connect(tmp_path / "sweep.db")) as connection, connection:
        connection.execute("UPDATE step SET score = 0.125 WHERE step = 9")
    (comparison,) = replayed(source, source.numbers, HERE)
    assert [each.column for each in comparison.bits] == ["step 9: score"]
