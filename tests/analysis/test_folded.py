import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.exceptions import SweepMissingError, UnreadableDatabaseError
from analysis.folded import FOLDABLE, OF_EACH, OF_LEAKS, SHARED, load_folded
from analysis.load import load_trials
from analysis.schema import CAUSE_FLAGS, COUNT
from analysis.tables import SUMMARIES

LEAK = {"verdict": "leaks", "max_drift": 0.5, "drift_ratio": 0.25, "by_history": True}
FOLDED = [table for table in SUMMARIES.values() if FOLDABLE.issuperset(table.needs)]
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
        **dict.fromkeys(CAUSE_FLAGS, st.booleans()),
    }
)


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
        if table.name != "importance":  # whose forests take seconds
            check_folded(table, url)


def test_importance_is_the_same_of_folded_trials(database):
    rows = [
        (LEAK if rate < 1 else {}) | {"lr": rate, "seed": seed, "drift_ratio": rate + seed}
        for rate in (0.25, 0.5, 1.0, 2.0)
        for seed in range(3)
    ]
    check_folded(SUMMARIES["importance"], database(s=rows))


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


def test_with_seeds_every_trial_has_its_row_in_the_order_of_the_ids(database):
    url = database(
        s=[{"seed": seed, "optimizer": name} for seed, name in ((9, "SGD"), (3, "Adam"))]
    )
    frame = load_folded(url, columns=["optimizer", "seed"])
    whole = load_trials(url, columns=["optimizer", "seed"])
    assert frame[["optimizer", "seed"]].to_numpy().tolist() == whole.to_numpy().tolist()
    assert frame[COUNT].tolist() == [1, 1]


def test_with_seeds_the_drifts_are_still_those_of_leaking_trials_alone(database):
    url = database(
        s=[
            {"seed": 2, "drift_ratio": 0.5},
            LEAK | {"seed": 1, "drift_ratio": 0.75},
            LEAK | {"seed": 0, "drift_ratio": 0.1 + 0.2},
        ]
    )
    frame = load_folded(url, columns=["seed", "drift_ratio"])
    drifts = dict(zip(frame["seed"], frame["drift_ratio"].fillna(-1), strict=True))
    assert drifts == {2: -1, 1: 0.75, 0: 0.1 + 0.2}


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
    columns = ["sweep", *SHARED, *OF_LEAKS, *OF_EACH]
    url = database(s=[LEAK, {"seed": 1, "momentum": None}])
    assert (
        load_folded(url, columns=columns)
        .dtypes[columns]
        .equals(load_trials(url, columns=columns).dtypes)
    )


def test_a_table_about_one_verdict_reads_its_trials_alone(database):
    url = database(s=[{}, {"seed": 1, "verdict": "failed", "error": "ValueError: no"}])
    assert SUMMARIES["failures"].read(url)["verdict"].tolist() == ["failed"]
    assert SUMMARIES["failures"].make(SUMMARIES["failures"].read(url))["trials"].tolist() == [1]


def test_folding_needs_no_sorting(database):
    url = database(s=[{}])
    path = url.removeprefix("sqlite:///")
    alike = ", ".join(["sweep_id", *SHARED])
    plan = f"EXPLAIN QUERY PLAN SELECT count(*) FROM trial GROUP BY {alike} ORDER BY {alike}"
    with closing(sqlite3.connect(path)) as connection:
        steps = [row[3] for row in connection.execute(plan)]
    assert steps == ["SCAN trial USING COVERING INDEX ix_trial_setting"]
