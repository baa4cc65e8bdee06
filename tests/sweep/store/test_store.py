"""The contract of the store, on a real SQLite file and on a real PostgreSQL."""

import math
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, text

from sweep.errors import DatabaseError
from sweep.store.inserting import ROWS_A_STATEMENT
from sweep.store.query import run_query
from sweep.store.store import Store
from sweep.values.outcome import CAUSE_FLAGS, Measurement, StepRecord
from sweep.values.words import GradState, Verdict

STEPS = (
    StepRecord(0, False, 1.5, GradState.NONZERO, True, 0.25),
    StepRecord(1, True, None, GradState.NONE, False, None),
)


def rows(url, sql):
    with run_query(url, sql) as result:
        return list(result)


def row(url, sql="SELECT * FROM trial"):
    with run_query(url, sql) as result:
        (only,) = result
        return dict(zip(result.columns, only, strict=True))


@pytest.fixture
def store(database_url):
    with Store.open(database_url) as opened:
        yield opened


@pytest.fixture
def sweep(store):
    return store.record_sweep("mine", "{}", 10)


class TestSweeps:
    def test_a_recorded_sweep_is_found_by_its_name(self, store):
        recorded = store.record_sweep("mine", '{"a":[1.0,null]}', 7)
        assert store.sweep("mine") == recorded
        assert (recorded.name, recorded.spec, recorded.planned) == ("mine", '{"a":[1.0,null]}', 7)
        assert abs(datetime.now(UTC) - recorded.created_at) < timedelta(minutes=1)

    def test_a_name_that_is_not_recorded_finds_nothing(self, store):
        assert store.sweep("mine") is None

    def test_recording_again_updates_spec_and_number_and_keeps_the_rest(self, store):
        first = store.record_sweep("mine", "{}", 7)
        again = store.record_sweep("mine", '{"b":1}', 9)
        assert again == replace(first, spec='{"b":1}', planned=9)
        assert store.sweep("mine") == again

    @pytest.mark.parametrize("name", ["'; DROP TABLE trial; --", "<b>é\x1b[31m", "=1+1", ""])
    def test_a_name_is_only_ever_data(self, store, name):
        assert store.record_sweep(name, "{}", 1) == store.sweep(name)


class TestMissing:
    def test_what_is_recorded_is_not_missing_and_order_is_kept(self, store, sweep, make):
        store.write(sweep.id, [make.outcome(1), make.outcome(3, Verdict.HOLDS)])
        missing = store.missing(sweep.id, [make.planned(seed) for seed in (4, 3, 2, 1)])
        assert [trial.setting.seed for trial in missing] == [4, 2]

    def test_another_sweeps_trials_do_not_count(self, store, sweep, make):
        store.write(store.record_sweep("other", "{}", 1).id, [make.outcome(1)])
        assert list(store.missing(sweep.id, [make.planned(1)])) == [make.planned(1)]

    @pytest.mark.parametrize(("retry_failed", "missing"), [(False, []), (True, [1])])
    def test_a_failed_trial_is_missing_only_when_retrying(
        self, store, sweep, make, retry_failed, missing
    ):
        store.write(sweep.id, [make.outcome(1, Verdict.FAILED), make.outcome(2)])
        planned = [make.planned(1), make.planned(2)]
        found = store.missing(sweep.id, planned, retry_failed=retry_failed)
        assert [trial.setting.seed for trial in found] == missing

    def test_planned_trials_are_taken_a_chunk_at_a_time(self, store, sweep, make):
        class Planned(list):
            taken = 0

            def __iter__(self):
                for seed in range(3 * ROWS_A_STATEMENT):
                    self.taken += 1
                    yield make.planned(seed)

        planned = Planned()
        next(iter(store.missing(sweep.id, planned)))
        assert planned.taken == ROWS_A_STATEMENT

    def test_how_many_are_recorded_is_said_of_the_planned_ones_alone(self, store, sweep, make):
        store.write(sweep.id, [make.outcome(seed) for seed in range(5)])
        planned = [make.planned(seed) for seed in (3, 4, 5)]
        assert store.missing(sweep.id, planned).recorded == 2

    def test_where_steps_are_wanted_a_trial_without_any_is_missing_unless_it_failed(
        self, store, sweep, make
    ):
        failed = make.outcome(3, Verdict.FAILED)
        store.write(sweep.id, [make.outcome(1), make.outcome(2, steps=STEPS), failed])
        found = store.missing(sweep.id, [make.planned(seed) for seed in range(1, 4)], traced=True)
        assert [trial.setting.seed for trial in found] == [1]


class TestSpecs:
    def test_of_two_that_exchange_the_same_spec_the_second_changes_nothing(self, store):
        assert store.exchange_spec("mine", None, "{}", 1).spec == "{}"
        assert store.exchange_spec("mine", None, '{"b":1}', 2) is None
        assert store.exchange_spec("mine", "{}", '{"a":1}', 2).planned == 2
        assert store.exchange_spec("mine", "{}", '{"b":1}', 3) is None
        assert store.sweep("mine").spec == '{"a":1}'

    def test_what_a_sweeps_trials_ran_on_is_told(self, store, sweep, make):
        assert store.devices(sweep.id) == set()
        store.write(sweep.id, [make.outcome(1)])
        assert store.devices(sweep.id) == {"cpu"}


class TestWrite:
    def test_every_field_of_an_outcome_is_a_column(self, store, sweep, make, database_url):
        outcome = make.outcome(3)
        store.write(sweep.id, [outcome])
        recorded = row(database_url)
        setting, measured = outcome.planned.setting, outcome.measurement
        expected = {
            "sweep_id": sweep.id,
            "fingerprint": outcome.planned.fingerprint,
            "workload": "small",
            "steps": 20,
            "options": "{}",
            "verdict": "leaks",
            "moved": True,
            "error": None,
            "train_seconds": 0.25,
            **{name: getattr(setting, name) for name in setting.__slots__},
            **{name: getattr(measured, name) for name in measured.__slots__},
            **{name: getattr(outcome.causes, name) for name in CAUSE_FLAGS},
            "causes": outcome.causes.sets,
            "unexplained": None,
        }
        assert {name: recorded[name] for name in expected} == expected

    def test_a_failed_trial_has_its_error_and_no_measurement(
        self, store, sweep, make, database_url
    ):
        store.write(sweep.id, [make.outcome(verdict=Verdict.FAILED, error="a\0b \ud800")])
        recorded = row(database_url)
        assert recorded["error"] == "ab ?"
        unmeasured = ("moved", "frozen_steps", "max_drift", "by_history", "sideways", "diverged")
        assert {recorded[name] for name in unmeasured} == {None}

    def test_a_failed_row_is_replaced_under_its_id(self, store, sweep, make, database_url):
        store.write(sweep.id, [make.outcome(1, Verdict.FAILED, steps=STEPS)])
        before = row(database_url)
        store.write(sweep.id, [make.outcome(1, Verdict.HOLDS)])
        after = row(database_url)
        assert (after["id"], after["verdict"], after["error"]) == (before["id"], "holds", None)
        assert rows(database_url, "SELECT * FROM step") == []

    def test_a_row_without_steps_is_replaced_under_its_id_by_one_with_steps(
        self, store, sweep, make, database_url
    ):
        store.write(sweep.id, [make.outcome(1, train_seconds=1.0)])
        before = row(database_url)
        store.write(sweep.id, [make.outcome(1, steps=STEPS, train_seconds=2.0)])
        after = row(database_url)
        assert (after["id"], after["train_seconds"]) == (before["id"], 2.0)
        assert len(rows(database_url, "SELECT * FROM step")) == len(STEPS)

    @pytest.mark.parametrize("later", [Verdict.HOLDS, Verdict.FAILED])
    def test_any_other_row_stays_as_it_is(self, store, sweep, make, database_url, later):
        store.write(sweep.id, [make.outcome(1, steps=STEPS)])
        before = row(database_url), rows(database_url, "SELECT * FROM step")
        store.write(sweep.id, [make.outcome(1, later, steps=STEPS[:1])])
        assert (row(database_url), rows(database_url, "SELECT * FROM step")) == before

    @pytest.mark.parametrize(
        ("verdicts", "kept"),
        [
            ((Verdict.LEAKS, Verdict.HOLDS), "leaks"),
            ((Verdict.FAILED, Verdict.HOLDS), "holds"),
            ((Verdict.HOLDS, Verdict.FAILED), "holds"),
        ],
    )
    def test_a_trial_given_twice_at_once_is_recorded_once(
        self, store, sweep, make, database_url, verdicts, kept
    ):
        store.write(sweep.id, [make.outcome(1, verdict) for verdict in verdicts])
        assert row(database_url)["verdict"] == kept

    def test_steps_are_recorded_for_the_rows_that_are_written(
        self, store, sweep, make, database_url
    ):
        store.write(sweep.id, [make.outcome(1), make.outcome(2, steps=STEPS)])
        expected = [(0, False, 1.5, "nonzero", True, 0.25), (1, True, None, "none", False, None)]
        columns = "step, frozen, loss, grad, step.moved, max_change"
        sql = f"SELECT {columns} FROM step JOIN trial ON id = trial_id WHERE seed = 2 ORDER BY 1"
        assert rows(database_url, sql) == expected
        assert len(rows(database_url, "SELECT * FROM step")) == 2

    def test_trials_of_one_environment_share_its_row(self, store, sweep, make, database_url):
        other = replace(make.ENVIRONMENT, device="H200")
        for seed in range(3):
            store.write(sweep.id, [make.outcome(seed)])
        store.write(sweep.id, [make.outcome(9, environment=other)])
        assert rows(database_url, "SELECT device FROM environment ORDER BY 1") == [
            ("H200",),
            ("cpu",),
        ]
        with Store.open(database_url) as again:
            again.write(sweep.id, [make.outcome(10, environment=other)])
        assert rows(database_url, "SELECT count(*) FROM environment") == [(2,)]

    def test_a_write_that_fails_records_none_of_it(self, store, sweep, make, database_url):
        bad = make.outcome(2, train_seconds=None)
        with pytest.raises(DatabaseError, match=r"Cannot write to .*train_seconds"):
            store.write(sweep.id, [make.outcome(1), bad])
        assert store.tally(sweep.id) == {}
        store.write(sweep.id, [make.outcome(1)])
        assert store.tally(sweep.id) == {Verdict.LEAKS: 1}

    def test_writing_nothing_is_fine(self, store, sweep):
        store.write(sweep.id, [])
        assert store.tally(sweep.id) == {}

    def test_a_time_without_a_zone_is_refused(self, store, sweep, make):
        naive = make.outcome(finished_at=datetime(2026, 1, 1))
        with pytest.raises(DatabaseError, match="A time without a time zone"):
            store.write(sweep.id, [naive])

    def test_times_are_recorded_in_utc(self, store, sweep, make, database_url):
        east = timezone(timedelta(hours=5))
        store.write(sweep.id, [make.outcome(finished_at=datetime(2026, 1, 1, 2, tzinfo=east))])
        recorded = row(database_url)["finished_at"]
        if isinstance(recorded, str):
            recorded = datetime.fromisoformat(recorded).replace(tzinfo=UTC)
        assert recorded == datetime(2025, 12, 31, 21, tzinfo=UTC)

    def test_a_thousand_outcomes_take_a_handful_of_statements(self, store, sweep, make):
        statements = []
        event.listen(
            store._engine, "before_cursor_execute", lambda *args: statements.append(args[2])
        )
        store.write(sweep.id, [make.outcome(seed) for seed in range(1000)])
        assert len(statements) < 10
        assert store.tally(sweep.id) == {Verdict.LEAKS: 1000}

    def test_the_tally_counts_verdicts(self, store, sweep, make):
        verdicts = [Verdict.LEAKS, Verdict.LEAKS, Verdict.INERT, Verdict.FAILED]
        store.write(sweep.id, [make.outcome(seed, each) for seed, each in enumerate(verdicts)])
        expected = {Verdict.LEAKS: 2, Verdict.INERT: 1, Verdict.FAILED: 1}
        assert store.tally(sweep.id) == expected


NUMBERS = st.none() | st.floats() | st.just(math.inf) | st.just(-math.inf)
MEASUREMENTS = st.builds(
    Measurement,
    *[st.integers(0, 2**31 - 1)] * 2,
    st.none() | st.integers(0, 2**31 - 1),
    *[NUMBERS] * 6,
    st.booleans(),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(measurement=MEASUREMENTS, error=st.none() | st.text())
def test_numbers_come_back_as_they_went_in_but_for_nan(
    store, sweep, make, database_url, measurement, error
):
    seed = sum(store.tally(sweep.id).values())
    outcome = make.outcome(seed, measurement=measurement, error=error)
    store.write(sweep.id, [outcome])
    recorded = row(database_url, f"SELECT * FROM trial WHERE seed = {seed}")
    for name in Measurement.__slots__:
        value = getattr(measurement, name)
        assert recorded[name] == (None if value is None or value != value else value), name
    assert recorded["error"] == (None if error is None else error.replace("\0", ""))


class TestSQLite:
    def test_the_folder_is_made_and_nothing_is_left_beside_the_file(self, sqlite_url, make):
        with Store.open(sqlite_url) as store:
            sweep = store.record_sweep("mine", "{}", 1)
            store.write(sweep.id, [make.outcome()])
        (only,) = Path(sqlite_url.removeprefix("sqlite:///")).parent.iterdir()
        assert only.name == "sweep.db"

    @pytest.mark.parametrize(
        ("pragma", "value"),
        [("journal_mode", "wal"), ("foreign_keys", 1), ("busy_timeout", 2500), ("synchronous", 1)],
    )
    def test_connections_are_set_up_for_many_processes(self, sqlite_url, pragma, value):
        with (
            Store.open(sqlite_url, busy_timeout_s=2.5) as store,
            store._engine.connect() as connection,
        ):
            assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value

    def test_a_trial_of_no_sweep_is_refused(self, sqlite_url, make):
        with (
            Store.open(sqlite_url) as store,
            pytest.raises(DatabaseError, match="FOREIGN KEY constraint failed"),
        ):
            store.write(99, [make.outcome()])

    def test_a_database_that_stays_locked_is_one_clear_message(self, sqlite_url, make):
        with Store.open(sqlite_url, busy_timeout_s=0.1) as store:
            sweep = store.record_sweep("mine", "{}", 1)
            other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseError, match="stayed locked by another program"):
                store.write(sweep.id, [make.outcome()])
            other.close()

    def test_a_full_disk_is_one_clear_message(self, sqlite_url, make):
        with Store.open(sqlite_url) as store:
            sweep = store.record_sweep("mine", "{}", 1)
            event.listen(
                store._engine,
                "checkout",
                lambda connection, *_: connection.execute("PRAGMA max_page_count = 1"),
            )
            with pytest.raises(DatabaseError, match="the disk is full"):
                store.write(sweep.id, [make.outcome(seed) for seed in range(1000)])
            assert store.tally(sweep.id) == {}

    def test_a_folder_is_no_database(self, tmp_path):
        with pytest.raises(DatabaseError, match="is a folder; name a file in it"):
            Store.open(f"sqlite:///{tmp_path}")

    def test_a_folder_that_cannot_be_made_is_one_clear_message(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(DatabaseError, match=r"Cannot open sqlite:.*file/x.db: .*File exists"):
            Store.open(f"sqlite:///{tmp_path}/file/x.db")


class TestPostgreSQL:
    def test_a_server_that_is_not_there_is_a_message_without_the_password(self):
        url = "postgresql://me:hush@127.0.0.1:1/x"
        with pytest.raises(DatabaseError, match=r"Cannot open .*me:\*\*\*@127.0.0.1") as caught:
            Store.open(url)
        assert "hush" not in str(caught.value)

    def test_a_database_of_another_program_is_refused_unchanged(self, postgres_url):
        engine = create_engine(postgres_url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE theirs (a int)"))
        with pytest.raises(DatabaseError, match="database of another program"):
            Store.open(postgres_url)
        with engine.begin() as connection:
            tables = connection.execute(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            )
            assert tables.scalars().all() == ["theirs"]
        engine.dispose()
