import sqlite3
from contextlib import closing

import pytest
import torch

SPEC = """
workload = "small"
steps = 10

[[grid]]
optimizer = ["SGD"]
momentum = [0.0, 0.9]
zero_grad = ["none", "zero"]
"""


@pytest.fixture
def db(tmp_path, monkeypatch):
    """The path of a database that is not there yet, named by LEAKSWEEP_DB."""
    monkeypatch.setenv("LEAKSWEEP_DB", f"sqlite:///{tmp_path}/new.db")
    return tmp_path / "new.db"


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPEC)
    return path


def rows(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_run_records_the_sweep_and_prints_its_table(leaksweep, db, spec):
    ended = leaksweep("run", spec, "--jobs", "1")
    assert ended.code == 0
    assert rows(db, "SELECT name, planned FROM sweep") == [("mine", 4)]
    assert rows(db, "SELECT count(*) FROM trial") == [(4,)]
    assert "SGD" in ended.out
    assert "leaks" in ended.out
    assert "mine: ran 4 of 4 trials in" in ended.err
    assert f"recorded in sqlite:///{db}." in ended.err


def test_the_table_that_ends_a_run_is_had_again(leaksweep, db, spec):
    ran = leaksweep("run", spec, "--jobs", "1")
    assert leaksweep("table", "results", "mine").out == ran.out


def test_the_same_command_again_runs_nothing_and_says_so(leaksweep, db, spec):
    first = leaksweep("run", spec, "--jobs", "1")
    before = rows(db, "SELECT * FROM trial")
    second = leaksweep("run", spec, "--jobs", "1")
    assert (second.code, second.out) == (0, first.out)
    assert "mine: all 4 trials were recorded already" in second.err
    assert "ran none" in second.err
    assert rows(db, "SELECT * FROM trial") == before


def test_options_replace_what_the_spec_says(leaksweep, db, spec):
    options = ("--set", "momentum=0.5", "--set", "seed=1,2", "--steps", 6, "--name", "other")
    ended = leaksweep("run", spec, *options, "--trace", "--jobs", "1")
    assert ended.code == 0
    assert rows(db, "SELECT name FROM sweep") == [("other",)]
    assert rows(db, "SELECT DISTINCT momentum, seed, steps FROM trial") == [
        (0.5, 1, 6),
        (0.5, 2, 6),
    ]
    assert rows(db, "SELECT count(*) FROM step") == [(4 * 6,)]


def test_a_larger_grid_extends_the_sweep_and_another_is_refused(leaksweep, db, spec):
    leaksweep("run", spec, "--jobs", "1")
    larger = leaksweep("run", spec, "--set", "seed=0,1", "--jobs", "1")
    assert (larger.code, "ran 4 of 8 trials" in larger.err) == (0, True)
    other = leaksweep("run", spec, "--set", "momentum=0.3", "--jobs", "1")
    assert other.code == 2
    assert "The database has a sweep named 'mine' with another grid" in other.err
    assert "--name" in other.err
    assert rows(db, "SELECT count(*) FROM trial") == [(8,)]


def test_failed_trials_are_counted_explained_and_exit_1(leaksweep, url, tmp_path):
    text = SPEC.replace('["SGD"]', '["SGD", "faulty:RaisesAtStep7"]')
    (tmp_path / "f.toml").write_text(f'name = "with failures"\n{text}')
    again = leaksweep("run", tmp_path / "f.toml", "--jobs", "1")
    assert again.code == 1
    assert "ran none" in again.err
    assert "4 of them failed." in again.err
    assert "--retry-failed" in again.err
    retried = leaksweep("run", tmp_path / "f.toml", "--jobs", "1", "--retry-failed")
    assert retried.code == 1
    assert "ran 4 of 8 trials" in retried.err


def test_a_dry_run_counts_and_writes_nothing(leaksweep, db, spec, tmp_path):
    ended = leaksweep("run", spec, "--dry-run")
    assert ended.code == 0
    assert "mine: 4 trials of workload small" in ended.out
    assert "Nothing was run." in ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml"]


def test_a_dry_run_says_what_is_left_out_and_why(leaksweep, db):
    ended = leaksweep(
        "run", "--preset", "remedies", "--set", "optimizer=LBFGS,SparseAdam,SGD", "--dry-run"
    )
    assert ended.code == 0
    assert "Left out" in ended.out
    assert "takes no parameter groups, which freeze = lr_zero needs" in ended.out
    assert "takes sparse gradients only" in ended.out
    assert not db.exists()


MISUSES = [
    (("--preset", "artcle"), "Unknown preset 'artcle'. Did you mean article?"),
    (("{spec}", "--preset", "article"), "Both a spec"),
    (("{spec}", "--set", "momentom=1"), "Unknown axis 'momentom'. Did you mean momentum?"),
    (("{spec}", "--set", "lr"), "--set: needs AXIS=V1,V2"),
    (("{spec}", "--set", "lr=-1"), "--set, lr: lr needs numbers >= 0"),
    (("{spec}", "--set", "optimizer=Adma"), "Unknown optimizer 'Adma'. Did you mean Adam"),
    (("{spec}", "--workload", "smal"), "Unknown workload 'smal'. Did you mean small?"),
    (("{spec}", "--steps", "0"), "--steps: steps needs a whole number >= 1"),
    (("{spec}", "--steps", "many"), "Invalid value for '--steps'"),
    (("{spec}", "--name", ""), "--name: name needs a text"),
    (("{spec}", "--jobs", "0"), "Invalid value for '--jobs'"),
    (("{spec}", "--jobs", "two"), "Invalid value for '--jobs'"),
    (("{spec}", "--device", "tpu"), "Invalid value for '--device'"),
    (("{spec}", "--job", "2"), "No such option: --job"),
    (("{spec}", "another.toml"), "unexpected extra argument"),
    (("{spec}", "--db", "sqlite:results/sweep.db"), "is no database URL"),
    (("{spec}", "--db", "mysql://host/x"), "are not supported"),
    (("{spec}", "--db", "sqlite:///{spec}"), "that file is no SQLite database"),
    (("{spec}", "--db", "sqlite:///{folder}"), "is a folder; name a file in it"),
    (("missing.toml",), "missing.toml: There is no such file."),
    (("article.toml",), "`--preset article` runs the preset of that name"),
    (("{folder}",), "is a directory; a spec is a TOML file."),
    (("{empty}",), "The spec is empty."),
    (("{binary}",), "is not UTF-8"),
]


@pytest.mark.parametrize(("words", "message"), MISUSES, ids=[" ".join(w) for w, _ in MISUSES])
def test_misuse_is_one_message_exit_code_2_and_nothing_written(
    leaksweep, db, spec, tmp_path, words, message
):
    (tmp_path / "empty.toml").touch()
    (tmp_path / "binary.toml").write_bytes(b"\x00\xff\xfe")
    places = {"spec": spec, "folder": tmp_path}
    places |= {name: tmp_path / f"{name}.toml" for name in ("empty", "binary")}
    ended = leaksweep("run", *(word.format(**places) for word in words))
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not db.exists()
    assert spec.read_text() == SPEC


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_cuda_device_is_misuse(leaksweep, db, spec):
    ended = leaksweep("run", spec, "--device", "cuda")
    assert ended.code == 2
    assert "--device cuda: torch finds no CUDA device here; leave it out." in ended.err
    assert not db.exists()


def test_a_spec_that_may_not_be_read_is_misuse(leaksweep, db, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "mine.toml").write_text(SPEC)
    monkeypatch.setattr("pathlib.Path.open", refuse)
    ended = leaksweep("run", tmp_path / "mine.toml")
    assert ended.code == 2
    assert "cannot be read: Permission denied." in ended.err


def test_no_message_shows_a_password(leaksweep, spec):
    ended = leaksweep("run", spec, "--db", "mysql://me:secret@host/x")
    assert ended.code == 2
    assert "secret" not in ended.err
    assert "me:***@host" in ended.err


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("loky", "--backend loky is gone: take processes."),
        ("threading", "--backend threading is gone: take processes, with --jobs 1 for one trial"),
        ("prcesses", "--backend takes processes or dask; 'prcesses' came."),
    ],
)
def test_a_backend_that_is_gone_or_unknown_is_answered_with_what_to_take(
    leaksweep, spec, word, answer
):
    ended = leaksweep("run", spec, "--backend", word)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(answer)
