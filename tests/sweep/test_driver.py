import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from here import Here

from sweep.driver import Progress, run_sweep
from sweep.errors import DatabaseError, SweepMismatchError
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.running.runner import Runner
from sweep.store.activity import is_running
from sweep.store.store import Store
from sweep.store.url import parse_url
from sweep.values.outcome import Environment, Measurement, Outcome
from sweep.values.words import Backend, Verdict

ENVIRONMENT = Environment("2.13.0", "3.11.2", "Linux x86_64", "cpu", 1, "0.1.0")
HELD = Measurement(10, 0, None, 0.0, 0.0, 4.0, 0.0, 1.1, 0.9, False)


@dataclass
class Trainer:
    """Takes every trial as run, at once; remembers which; some fail, and one interrupts."""

    failing: frozenset[int] = frozenset()
    interrupting: int | None = None
    seeds: list[int] = field(default_factory=list)

    def __call__(self, planned):
        seed = planned.setting.seed
        if seed == self.interrupting:
            raise KeyboardInterrupt
        self.seeds.append(seed)
        now = datetime.now(UTC)
        held = Outcome(
            planned, ENVIRONMENT, "torch 2.13", Verdict.HOLDS, HELD, None, False, 0.1, None, now
        )
        if seed not in self.failing:
            return held
        failed = {"verdict": Verdict.FAILED, "measurement": None, "sideways": None, "error": "no"}
        return replace(held, **failed)


def grid(seeds=range(6), *, momentum=(0.0,), steps=20, optimizer="SGD"):
    text = f"""
        workload = "small"
        steps = {steps}

        [[grid]]
        optimizer = ["{optimizer}"]
        momentum = {list(momentum)}
        zero_grad = ["zero"]
        seed = {list(seeds)}
    """
    return Grid(from_toml(text, source="the test", name="mine"))


def replace_spec(grid, **values):
    return Grid(grid.spec.model_copy(update=values))


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/sweep.db") as opened:
        yield opened


@pytest.fixture
def rows(tmp_path):
    """Asks the database, as anybody may."""

    def ask(query):
        with closing(sqlite3.connect(tmp_path / "sweep.db")) as connection:
            return connection.execute(query).fetchall()

    return ask


def run(store, grid, trainer=None, **options):
    return run_sweep(store, grid, Here(trainer or Trainer()), **options)


def test_trials_that_somebody_takes_away_during_the_run_are_told(store, rows, tmp_path):
    def take_away(progress):
        if progress.finished == 6:
            with closing(sqlite3.connect(tmp_path / "sweep.db", timeout=30)) as connection:
                connection.execute("DELETE FROM trial WHERE seed = 0")
                connection.commit()

    run(store, grid(range(3)))
    with pytest.raises(DatabaseError, match=r"1 trials of 'mine' that were recorded are no longer"):
        run(store, grid(range(9)), observe=take_away)
    assert run(store, grid(range(9))).ran == {Verdict.HOLDS: 1}


def test_every_setting_is_recorded_once(store, rows):
    progress = run(store, grid(momentum=[0.0, 0.9]))
    assert (progress.planned, progress.recorded, progress.ran) == (12, 0, {Verdict.HOLDS: 12})
    assert rows("SELECT count(*), count(DISTINCT fingerprint) FROM trial") == [(12, 12)]
    assert rows("SELECT DISTINCT seed, momentum FROM trial ORDER BY 2, 1") == [
        (seed, momentum) for momentum in (0.0, 0.9) for seed in range(6)
    ]


def test_the_same_grid_again_runs_nothing(store, rows):
    run(store, grid())
    before = rows("SELECT * FROM trial")
    again = Trainer()
    progress = run(store, grid(), again)
    assert (again.seeds, progress.finished, progress.recorded) == ([], 0, 6)
    assert rows("SELECT * FROM trial") == before


def test_a_grid_that_contains_the_recorded_one_extends_it(store, rows):
    run(store, grid(range(6)))
    extending = Trainer()
    progress = run(store, grid(range(10)), extending)
    assert sorted(extending.seeds) == [6, 7, 8, 9]
    assert (progress.recorded, progress.finished) == (6, 4)
    assert rows("SELECT name, planned FROM sweep") == [("mine", 10)]
    assert rows("SELECT count(*), count(DISTINCT fingerprint) FROM trial") == [(10, 10)]


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (grid(range(3, 9)), "seed=0"),
        (grid(steps=21), "its trials have 20 steps, not 21"),
        (grid(momentum=[0.5]), "momentum=0.0"),
        (grid(optimizer="Adagrad"), "SGD"),
    ],
    ids=["other seeds", "more steps", "another momentum", "another optimizer"],
)
def test_a_grid_that_lacks_recorded_settings_is_refused_and_changes_nothing(
    store, rows, other, difference
):
    run(store, grid())
    before = rows("SELECT * FROM trial"), rows("SELECT * FROM sweep")
    refused = Trainer()
    with pytest.raises(SweepMismatchError, match=difference) as error:
        run(store, other, refused)
    assert error.value.name == "mine"
    assert refused.seeds == []
    assert (rows("SELECT * FROM trial"), rows("SELECT * FROM sweep")) == before


def test_a_grid_that_is_part_of_the_recorded_one_runs_as_that_part(store, rows):
    run(store, grid(range(4)))
    before = rows("SELECT * FROM sweep")
    progress = run(store, grid(range(2)))
    assert (progress.planned, progress.recorded, progress.finished) == (2, 2, 0)
    assert rows("SELECT * FROM sweep") == before


def test_a_part_that_is_not_recorded_yet_runs_and_nothing_else(store, rows):
    with pytest.raises(KeyboardInterrupt):
        run(store, grid(range(9)), Trainer(interrupting=3))
    part = Trainer()
    progress = run(store, grid(range(2, 6)), part)
    assert part.seeds == [3, 4, 5]
    assert (progress.planned, progress.recorded, progress.finished) == (4, 1, 3)
    assert rows("SELECT planned FROM sweep") == [(9,)]


def test_the_second_of_two_drivers_that_extend_a_sweep_at_once_looks_again(store, rows):
    run(store, grid(range(4)))
    sweep = store.sweep

    def late(name):
        found = sweep(name)
        store.sweep = sweep  # the next time it is asked, the other has been here
        run(store, grid([*range(4), 5]))
        return found

    store.sweep = late
    with pytest.raises(SweepMismatchError, match="seed=5"):
        run(store, grid([*range(4), 6]))
    assert rows("SELECT seed FROM trial ORDER BY 1") == [(0,), (1,), (2,), (3,), (5,)]


def test_what_another_has_recorded_is_never_taken_for_what_is_missing(store, rows):
    """Two drivers have extended a sweep by one setting each; only one setting has run."""
    run(store, grid(range(5)))
    store.record_sweep("mine", grid([*range(4), 6]).canonical(), 5)
    late = Trainer()
    run(store, grid([*range(4), 6]), late)
    assert late.seeds == [6]


def test_a_sweep_that_is_extended_says_from_what(store):
    seen = []
    run(store, grid(range(2)), observe=seen.append)
    run(store, grid(range(5)), observe=seen.append)
    run(store, grid(range(5)), observe=seen.append)
    assert [each.extended_from for each in seen] == [None] * 3 + [2] * 4 + [None]


def test_tracing_a_finished_sweep_runs_again_what_has_no_steps(store, rows):
    plain = grid(range(2))
    run_sweep(store, plain, Here())
    before = rows("SELECT id, fingerprint, total_drift FROM trial")
    traced = replace_spec(plain, trace=True)
    progress = run_sweep(store, traced, Runner(1, trace=True))
    assert (progress.recorded, progress.finished) == (0, 2)
    assert rows("SELECT id, fingerprint, total_drift FROM trial") == before
    assert rows("SELECT trial_id, count(*) FROM step GROUP BY 1") == [(1, 20), (2, 20)]
    assert run_sweep(store, traced, Here()).finished == 0
    assert run_sweep(store, plain, Here()).finished == 0
    assert json.loads(store.sweep("mine").spec)["trace"] is True


def test_a_sweep_on_another_device_is_refused_and_changes_nothing(store, rows):
    run(store, grid())
    before = rows("SELECT * FROM trial"), rows("SELECT * FROM sweep")
    with pytest.raises(SweepMismatchError, match="its trials ran on cpu, not on cuda"):
        run_sweep(store, grid(), Here(Trainer(), device="cuda"))
    assert (rows("SELECT * FROM trial"), rows("SELECT * FROM sweep")) == before


def test_failed_trials_are_recorded_and_left_alone(store, rows):
    progress = run(store, grid(), Trainer(failing=frozenset({2, 4})))
    assert progress.ran == {Verdict.HOLDS: 4, Verdict.FAILED: 2}
    again = Trainer()
    assert run(store, grid(), again).recorded == 6
    assert again.seeds == []
    assert rows("SELECT seed FROM trial WHERE verdict = 'failed' ORDER BY 1") == [(2,), (4,)]


def test_retry_failed_runs_the_failed_ones_and_no_others(store, rows):
    run(store, grid(), Trainer(failing=frozenset({2, 4})))
    retrying = Trainer(failing=frozenset({4}))
    progress = run(store, grid(), retrying, retry_failed=True)
    assert sorted(retrying.seeds) == [2, 4]
    assert (progress.recorded, progress.finished) == (4, 2)
    assert rows("SELECT seed FROM trial WHERE verdict = 'failed'") == [(4,)]
    assert rows("SELECT count(*) FROM trial") == [(6,)]


def test_an_optimizer_that_raises_fails_its_trials_and_no_others(store, rows):
    text = """
        workload = "small"

        [[grid]]
        optimizer = ["SGD", "faulty:RaisesAtStep7"]
        zero_grad = ["none", "zero"]
    """
    mixed = Grid(from_toml(text, source="the test", name="mine"))
    progress = run_sweep(store, mixed, Here())
    assert progress.ran == {Verdict.HOLDS: 2, Verdict.FAILED: 2}
    assert rows("SELECT DISTINCT optimizer, error FROM trial ORDER BY optimizer") == [
        ("SGD", None),
        ("faulty:RaisesAtStep7", "ArithmeticError: no eighth step"),
    ]


def test_an_interruption_keeps_what_was_finished(store, rows):
    with pytest.raises(KeyboardInterrupt):
        run(store, grid(), Trainer(interrupting=4))
    assert rows("SELECT seed FROM trial ORDER BY 1") == [(0,), (1,), (2,), (3,)]
    finishing = Trainer()
    run(store, grid(), finishing)
    assert finishing.seeds == [4, 5]
    assert rows("SELECT count(*), count(DISTINCT fingerprint) FROM trial") == [(6, 6)]


def test_the_observer_sees_the_start_and_each_outcome(store):
    run(store, grid(range(2)))
    seen = []
    run(
        store,
        grid(range(5)),
        Trainer(failing=frozenset({3})),
        observe=lambda now: seen.append((now.planned, now.recorded, Counter(now.ran))),
    )
    held, failed = Verdict.HOLDS, Verdict.FAILED
    assert seen == [
        (5, 2, {}),
        (5, 2, {held: 1}),
        (5, 2, {held: 1, failed: 1}),
        (5, 2, {held: 2, failed: 1}),
    ]


def test_progress_counts_what_this_run_finished_and_what_is_left_at_the_latest_pace():
    progress = Progress(9, 2, {Verdict.HOLDS: 3, Verdict.FAILED: 1}, 100.0, a_second=0.5)
    assert (progress.finished, progress.seconds_left) == (4, 6.0)
    assert Progress(9, 2, {}, 1.0).seconds_left is None


def test_what_an_observer_has_seen_does_not_change(store):
    seen = []
    run(store, grid(range(3)), observe=seen.append)
    assert [progress.finished for progress in seen] == [0, 1, 2, 3]


def test_what_another_sweep_has_trained_here_is_taken_over_and_the_rest_is_run(store, rows):
    run_sweep(store, replace_spec(grid(range(3)), name="other"), Here())
    progress = run_sweep(store, grid(range(5)), Here())
    assert (progress.recorded, progress.taken, progress.finished) == (3, 3, 2)
    assert rows("SELECT sweep_id, count(*) FROM trial GROUP BY 1") == [(1, 3), (2, 5)]
    columns = "fingerprint, verdict, total_drift, final_loss, finished_at"
    one, two = (
        rows(f"SELECT {columns} FROM trial WHERE sweep_id = {number} AND seed < 3 ORDER BY seed")
        for number in (1, 2)
    )
    assert one == two


@pytest.mark.parametrize(
    "runner", [Here(run_trial=Trainer()), Here(backend=Backend.DASK)], ids=["own", "cluster"]
)
def test_nothing_is_taken_over_where_it_is_not_known_what_would_run_where(store, runner):
    run_sweep(store, replace_spec(grid(range(2)), name="other"), Here())
    assert run_sweep(store, grid(range(2)), runner).taken == 0


def test_while_a_sweep_runs_it_says_so(store, tmp_path):
    url = parse_url(tmp_path / "sweep.db")
    seen = []
    run_sweep(
        store, grid(range(2)), Here(Trainer()), observe=lambda _: seen.append(is_running(url, 1))
    )
    assert set(seen) == {True}
    assert is_running(url, 1) is False
