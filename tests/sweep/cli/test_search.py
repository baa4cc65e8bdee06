"""`leaksweep search`, as a person runs it."""

import json
import signal
import time

import pytest

from sweep.errors import LeaksweepError
from sweep.store.query import run_query, sweep_status

SPEC = """
name = "mine"
workload = "small"
steps = 6

[[grid]]
optimizer = ["SGD", "Adam"]
zero_grad = ["zero"]
"""
NAME = "mine-tpe-drift_ratio"
HERE = ("--jobs", "1")


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def db(tmp_path, monkeypatch):
    """A database that is not there yet, named by LEAKSWEEP_DB."""
    url = f"sqlite:///{tmp_path}/new.db"
    monkeypatch.setenv("LEAKSWEEP_DB", url)
    return url


def test_the_same_command_twice_runs_twice_as_many(leaksweep, db, spec):
    first = leaksweep("search", spec, "--trials", 5, *HERE)
    assert (first.code, f"{NAME}: ran 5 trials in" in first.err) == (0, True), first.err
    assert "loaded" not in first.err
    second = leaksweep("search", spec, "--trials", 5, *HERE)
    assert second.code == 0
    assert f"{NAME}: loaded 5 recorded trials in 0." in second.err
    assert "10 in all, recorded in" in second.err
    assert [(s.name, s.done, s.remaining) for s in sweep_status(db)] == [(NAME, 10, 0)]


def test_the_worst_come_first_beside_the_grids(leaksweep, db, spec):
    alone = leaksweep("search", spec, "--trials", 4, *HERE)
    assert "The grid itself is not recorded; `leaksweep run` records it" in alone.err
    leaksweep("run", spec, *HERE)
    ended = leaksweep("search", spec, "--trials", 4, *HERE)
    title, head, _, *rows = [line for line in ended.out.splitlines() if line]
    assert title == f"{NAME}: worst drift_ratio of 8 trials"
    assert head.split()[:3] == ["drift_ratio", "optimizer", "lr"]
    cells = [row.split() for row in rows]
    found = [float(row[1]) for row in cells if row[0] == "found"]
    assert found == sorted(found, reverse=True)
    with run_query(db, "SELECT max(drift_ratio) FROM trial WHERE sweep_id = 2") as theirs:
        ((largest,),) = theirs
    assert [row[:2] for row in cells if row[0] == "grid"] == [["grid", f"{largest:.6g}"]]
    assert f"the grid's is {largest:.6g} (2 trials, the sweep 'mine')" in ended.err


def test_a_preset_is_compared_with_its_committed_results(leaksweep, db):
    options = ("--preset", "remedies", "--set", "optimizer=SGD", "--trials", 1, *HERE)
    ended = leaksweep("search", *options)
    assert "trials, results/reference/remedies)" in ended.err


def test_several_objectives_end_in_a_pareto_front(leaksweep, db, spec, tmp_path):
    both = ("--objective", "drift_ratio", "--objective", "final_loss")
    out = tmp_path / "front"
    ended = leaksweep("search", spec, *both, "--trials", 12, "--out", out, *HERE)
    assert ended.code == 0, ended.err
    assert "mine-nsgaii-drift_ratio-final_loss: Pareto front of 12 trials" in ended.out
    assert sorted(path.name for path in out.iterdir()) == ["front.csv", "front.png", "front.svg"]
    head, *lines = (out / "front.csv").read_text().splitlines()
    front = [tuple(map(float, line.split(",")[:2])) for line in lines]
    assert head.startswith("drift_ratio,final_loss,optimizer")
    with run_query(db, "SELECT drift_ratio, final_loss FROM trial") as rows:
        everything = list(rows)
    assert front == sorted(
        (
            (drift, loss)
            for drift, loss in everything
            if not any(
                d >= drift and lo <= loss and (d, lo) != (drift, loss) for d, lo in everything
            )
        ),
        reverse=True,
    )


@pytest.mark.slow
def test_a_searched_sweep_is_a_sweep_to_every_command(leaksweep, db, spec, tmp_path):
    ranges = ("--range", "lr", "--range", "beta2", "--range", "period=2:4")
    leaksweep("search", spec, *ranges, "--trials", 6, *HERE)
    assert NAME in leaksweep("status").out
    query = "SELECT count(*) FROM leak_rate_by_setting"
    assert "6" in leaksweep("sql", query, "--format", "csv").out
    assert leaksweep("export", "--out", tmp_path / "tables", "--figures").code == 0
    assert (tmp_path / "tables" / "by_optimizer.csv").read_text().count("\n") == 3
    page = tmp_path / "page.html"
    assert leaksweep("report", "--out", page).code == 0
    assert "leaksweep search repeat.toml" in page.read_text()
    assert "leaksweep run repeat.toml" not in page.read_text()
    verified = leaksweep("verify", *HERE)
    assert (verified.code, "Replayed 6 of 6 recorded trials: 6 agree." in verified.out) == (0, True)
    refused = leaksweep("run", spec, "--name", NAME, *HERE)
    assert (refused.code, "it was searched, and has no grid" in refused.err) == (2, True)


def test_failed_trials_end_with_1(leaksweep, db, tmp_path):
    (tmp_path / "f.toml").write_text(SPEC.replace('"Adam"', '"faulty:RaisesAtStep7"'))
    ended = leaksweep("search", tmp_path / "f.toml", "--steps", 9, "--trials", 6, *HERE)
    assert ended.code == 1
    (status,) = sweep_status(db)
    assert status.failed >= 2
    assert f"{status.failed} of them failed. `leaksweep table failures" in ended.err


def test_nothing_new_ends_early(leaksweep, db, spec):
    options = ("--range", "period=2:3", "--sampler", "random", "--trials", 50)
    ended = leaksweep("search", spec, *options, *HERE)
    assert ended.code == 0
    assert "ran 4 trials" in ended.err
    assert "It ended early: nothing new was proposed." in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--range", "lrr=0:1"], "Did you mean lr"),
        (["--range", "lr=1:0.1"], "--range, lr: goes from 1 to 0.1"),
        (["--range", "lr=0:1:log"], "has no logarithm at 0"),
        (["--set", "lr=1", "--range", "lr=0:1"], "has values from --set lr=..., too"),
        (["--set", "lr=1", "--set", "weight_decay=0", "--set", "momentum=0"], "No range is left"),
        (["--set", "optimizer=Adma"], "Did you mean Adam"),
        (["--objective", "loss"], "'loss' is not one of"),
        (["--sampler", "grid"], "'grid' is not one of"),
        (["--sampler", "cmaes", "--range", "momentum", "--set", "optimizer=SGD,Adagrad"], "cmaes"),
        (["--sampler", "cmaes", "--objective", "drift_ratio", "--objective", "final_loss"], "one"),
        (["--trials", "0"], "--trials"),
        (["--trial-timeout", "0"], "--trial-timeout"),
        (["--seed", "-1"], "--seed"),
        (["--preset", "full"], "Both a spec"),
        (["--name", "a\x1bb"], "do not print"),
        (["--db", "sqlite:nowhere"], "is no database URL"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_misuse_is_told_in_one_message_and_writes_nothing(
    leaksweep, db, spec, tmp_path, words, message
):
    ended = leaksweep("search", spec, *words)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "new.db").exists()


def test_another_search_needs_another_name(leaksweep, db, spec):
    leaksweep("search", spec, "--trials", 1, *HERE)
    ended = leaksweep("search", spec, "--trials", 1, "--seed", 1, *HERE)
    assert ended.code == 2
    assert "that is not this search: its seed is 0, not 1" in ended.err
    assert "--name" in ended.err


@pytest.mark.slow
def test_ctrl_c_says_what_was_kept_and_how_to_go_on(start_leaksweep, db, spec):
    words = ("search", spec, "--steps", 60, "--trials", 5000, "--sampler", "random", "--jobs", 2)
    process = start_leaksweep(*words)
    deadline = time.monotonic() + 60
    while not _done(db) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    kept = _done(db)
    assert process.returncode == 130
    assert 0 < kept < 5000
    assert f"{kept:,} of 5,000 trials had finished; {kept:,} are recorded in all." in err
    assert f"--trials {5000 - kept} runs the rest." in err
    with run_query(db, "SELECT count(DISTINCT fingerprint), count(*) FROM trial") as rows:
        assert list(rows) == [(kept, kept)]
    with run_query(db, "SELECT spec FROM sweep") as rows:
        assert json.loads(next(iter(rows))[0])["search"]["sampler"] == "random"


def _done(url):
    try:
        return sum(status.done for status in sweep_status(url))
    except LeaksweepError:  # not there yet
        return 0
