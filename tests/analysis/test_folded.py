import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import folded
from analysis.exceptions import (
    SweepMissingError,
    UnknownChoiceError,
    UnreadableDatabaseError,
)
from analysis.folded import FOLDABLE, OF_LEAKS, SHARED, Readings, load_folded
from analysis.load import load_trials
from analysis.schema import CAUSE_COLUMNS, COUNT, SweepKind
from analysis.tables import SUMMARIES, summary_table

LEAK = {"verdict": "leaks", "max_drift": 0.5, "drift_ratio": 0.25, "by_history": True}
FOLDED = [table for table in SUMMARIES.values() if FOLDABLE.issuperset(table.needs)]
COUNTED = ("trials", "leaks", "leak_rate", "holds", "inert", "failed", "diverged", "max_drift")
DRIFTS = st.sampled_from([None, 0.0, 0.5, 2.0, float("inf")])
ROWS = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(["SGD", "Adam"]),
        "lr": st.sampled_from([None, 1.0, 0.01]),
        "momentum": st.sampled_from([None, 0.0, 0.9]),
        "weight_decay": st.sampled_from([0.0, 0.5]),
        "zero_grad": st.sampled_from(["none", "zero", "never"]),
        "schedule": st.sampled_from(["alternate", "after:9", "after:10"]),
        "freeze": st.sampled_from(["detach", "grad_none"]),
        "seed": st.integers(0, 2),
        "verdict": st.sampled_from(["leaks", "holds", "inert", "failed"]),
        "diverged": st.booleans(),
        "sideways": st.booleans(),
        "max_drift": DRIFTS,
        "drift_ratio": DRIFTS,
        **dict.fromkeys(CAUSE_COLUMNS, st.booleans()),
        "causes": st.sampled_from([None, "decay", "decay, history", "history+decay"]),
    }
)


VIEWS = {
    "leak_rate_by_optimizer": "by_optimizer",
    "leak_rate_by_zero_grad": "by_zero_grad",
    "leak_rate_by_setting": "by_setting",
}


def check_view(view, table, url):
    """What SQL says of rates is what the tables say, in whatever order."""
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        rows = pd.read_sql_query(f"SELECT * FROM {view}", connection)
    shared = [name for name in rows.columns if name in table]
    keys = [name for name in shared if name not in COUNTED]
    ordered = (frame[shared].sort_values(keys).reset_index(drop=True) for frame in (rows, table))
    pd.testing.assert_frame_equal(*ordered, check_dtype=False, check_exact=True)


def check_folded(table, url):
    folded = table.make(load_folded(url, columns=table.needs))
    pd.testing.assert_frame_equal(folded, table.make(load_trials(url, columns=table.needs)))


@pytest.mark.slow
@given(sweeps=st.lists(st.lists(ROWS, max_size=25), min_size=1, max_size=2))
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_table_is_the_same_of_folded_trials(tmp_path, database, sweeps):
    (tmp_path / "sweep.db").unlink(missing_ok=True)
    url = database(**{f"s{place}": rows for place, rows in enumerate(sweeps)})
    for table in FOLDED:
        check_folded(table, url)
    for view, name in VIEWS.items():
        check_view(view, summary_table(name, url), url)


def test_trials_that_agree_are_one_row_with_their_number(database):
    url = database(s=[LEAK | {"seed": 1}, LEAK | {"seed": 2}, {"seed": 3}])
    frame = load_folded(url, columns=["sweep", "optimizer", "verdict"])
    assert frame.to_numpy().tolist() == [["s", "SGD", "holds", 1], ["s", "SGD", "leaks", 2]]


def test_drifts_are_those_of_leaking_trials_in_rows_of_their_own(database):
    url = database(
        s=[LEAK | {"seed": 1, "drift_ratio": 0.75}, LEAK | {"seed": 2}, {"seed": 3}, {"seed": 4}]
    )
    frame = load_folded(url, columns=["drift_ratio", "verdict"])
    leaks = frame[frame["verdict"] == "leaks"]
    assert sorted(leaks["drift_ratio"]) == [0.25, 0.75]
    assert leaks[COUNT].tolist() == [1, 1]
    (held,) = frame[frame["verdict"] == "holds"].itertuples(index=False)
    assert pd.isna(held.drift_ratio)
    assert held[-1] == 2


def test_seeds_are_a_list_for_each_row(database):
    url = database(
        s=[
            {"seed": seed, "optimizer": name}
            for seed, name in ((9, "SGD"), (3, "Adam"), (1, "SGD"))
        ]
    )
    frame = load_folded(url, columns=["optimizer", "seed"])
    seeds = {row.optimizer: set(row.seeds.split(",")) for row in frame.itertuples()}
    assert seeds == {"Adam": {"3"}, "SGD": {"1", "9"}}
    assert frame[COUNT].tolist() == [1, 2]


@pytest.mark.parametrize("seed", [None, "x", 1.5])
def test_a_seed_that_is_no_number_is_told(database, seed):
    url = database(s=[{}])
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(trial)")]
        connection.execute("ALTER TABLE trial RENAME TO kept")
        connection.execute(f"CREATE TABLE trial ({', '.join(columns)})")
        connection.execute("INSERT INTO trial SELECT * FROM kept")
        connection.execute("UPDATE trial SET seed = ?", [seed])
        connection.commit()
    with pytest.raises(UnreadableDatabaseError, match="holds what is not of its kind"):
        load_folded(url, columns=["seed"])


def test_one_sweep_is_folded_alone(database):
    url = database(first=[{}], second=[{"seed": 1}, {"seed": 2}])
    assert load_folded(url, "second", columns=["sweep"]).to_numpy().tolist() == [["second", 2]]
    with pytest.raises(SweepMissingError, match=r"no sweep named 'secnd'.*mean second"):
        load_folded(url, "secnd", columns=["sweep"])


def test_columns_have_the_types_of_trials(database):
    columns = ["sweep", "sweep_kind", *SHARED, *OF_LEAKS]
    url = database(s=[LEAK, {"seed": 1, "momentum": None}])
    assert (
        load_folded(url, columns=columns)
        .dtypes[columns]
        .equals(load_trials(url, columns=columns).dtypes)
    )


def test_sweeps_of_other_kinds_are_left_out(database, outcome):
    url = database(grid=[{}], search=[{"seed": 1}], specs={"search": '{"kind":"search"}'})
    grids = load_folded(url, columns=["sweep", "sweep_kind"], kinds=frozenset({SweepKind.GRID}))
    assert grids[["sweep", "sweep_kind"]].to_numpy().tolist() == [["grid", "grid"]]
    assert set(load_folded(url, columns=["sweep_kind"])["sweep_kind"]) == {"grid", "search"}


@pytest.fixture
def reads(monkeypatch):
    """The columns of each reading that is done, in order."""
    done = []

    def noting(read):
        def noted(*words, columns, **more):
            done.append(list(columns))
            return read(*words, columns=columns, **more)

        return noted

    for name in ("load_trials", "load_folded"):
        monkeypatch.setattr(folded, name, noting(getattr(folded, name)))
    return done


def test_what_is_read_alike_is_read_once(database, reads):
    url = database(s=[LEAK, {"seed": 1, "verdict": "failed", "error": "ValueError: no"}])
    readings = Readings(url, "s", SUMMARIES.values())
    for summary in SUMMARIES.values():
        made = summary.make(readings.of(summary))
        pd.testing.assert_frame_equal(made, summary_table(summary.name, url, "s"))
    shared = len(reads) - len(SUMMARIES)  # each of the tables that were made alone is one
    # With drifts, without them, and trial by trial the failures and those with a score.
    assert shared == 4


def test_a_table_about_one_verdict_reads_its_trials_alone(database):
    url = database(s=[{}, {"seed": 1, "verdict": "failed", "error": "ValueError: no"}])
    failures = SUMMARIES["failures"]
    assert Readings(url, None, []).of(failures)["verdict"].tolist() == ["failed"]
    assert summary_table("failures", url)["trials"].tolist() == [1]


def test_a_table_that_is_not_there_is_asked_for_by_its_nearest_name(database):
    with pytest.raises(UnknownChoiceError, match=r"Unknown table 'result'. Did you mean results"):
        summary_table("result", database(s=[{}]))


def test_folding_needs_no_sorting(database):
    url = database(s=[{}])
    path = url.removeprefix("sqlite:///")
    alike = ", ".join(["sweep_id", *SHARED])
    plan = f"EXPLAIN QUERY PLAN SELECT count(*) FROM trial GROUP BY {alike} ORDER BY {alike}"
    with closing(sqlite3.connect(path)) as connection:
        steps = [row[3] for row in connection.execute(plan)]
    assert steps == ["SCAN trial USING COVERING INDEX ix_trial_setting"]
