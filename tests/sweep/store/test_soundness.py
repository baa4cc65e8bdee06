"""What is damaged, replaced, removed or has two names is told, and not written to."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from sweep.errors import DatabaseError
from sweep.store import soundness
from sweep.store.query import run_query
from sweep.store.soundness import is_whole
from sweep.store.store import Store
from sweep.values.words import Verdict

PAGE = 4096
DAMAGED = r"is damaged|the file is damaged|no SQLite database|no plain table|another program"


@pytest.fixture(scope="module")
def sound(tmp_path_factory, make):
    """A database of 60 trials."""
    return make.recorded(tmp_path_factory.mktemp("sound") / "sweep.db", 60)


def overwritten(path, page, with_what):
    pieces = path.read_bytes()
    return pieces[: page * PAGE] + with_what + pieces[page * PAGE + len(with_what) :]


def is_refused_by_sqlite(path):
    with closing(sqlite3.connect(path)) as connection:
        try:
            return connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]
        except sqlite3.DatabaseError:
            return True


def change_index(path):
    """Lets an index say that it is of another column than the one that it was made of."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'verdict)', 'workload)')"
            " WHERE name = 'ix_trial_sweep_id_verdict'"
        )


@pytest.mark.parametrize("seed", range(12))
def test_no_copy_that_sqlite_refuses_is_written_to(sound, tmp_path, seed):
    drawn = random.Random(seed)
    pages = sound.stat().st_size // PAGE
    copy = tmp_path / "damaged.db"
    while True:
        noise = drawn.randbytes(drawn.choice([16, 300, PAGE]))
        damaged = overwritten(sound, drawn.randrange(1, pages), noise)
        copy.write_bytes(
            damaged if drawn.random() < 0.8 else damaged[: drawn.randrange(pages) * PAGE]
        )
        if copy.stat().st_size > 0 and is_refused_by_sqlite(copy):
            break
    before = copy.read_bytes()
    with pytest.raises(DatabaseError, match=DAMAGED):
        Store.open(f"sqlite:///{copy}")
    assert copy.read_bytes() == before


def test_the_message_has_sqlites_own_words_and_says_what_to_do(sound, tmp_path):
    copy = tmp_path / "damaged.db"
    copy.write_bytes(sound.read_bytes()[:-PAGE])
    with pytest.raises(DatabaseError, match=r"damaged.*\. Restore a copy, or name another"):
        Store.open(f"sqlite:///{copy}")


def test_an_index_without_the_rows_of_its_table_is_damage(sound, tmp_path):
    copy = tmp_path / "damaged.db"
    copy.write_bytes(sound.read_bytes())
    change_index(copy)
    with pytest.raises(DatabaseError, match=r"SQLite's own check says"):
        Store.open(f"sqlite:///{copy}")


def test_a_file_is_looked_at_with_its_log_or_alone(sound, tmp_path):
    copy = tmp_path / "copy.db"
    copy.write_bytes(sound.read_bytes())
    assert is_whole(copy)
    assert is_whole(copy, alone=True)
    copy.write_bytes(b"no database at all" * 100)
    assert not is_whole(copy)
    with pytest.raises(sqlite3.OperationalError):
        is_whole(Path(tmp_path))


def test_of_a_large_file_the_pages_are_checked_and_not_the_indexes(sound, tmp_path, monkeypatch):
    monkeypatch.setattr(soundness, "_CHECKED_WHOLLY", 0)
    copy = tmp_path / "damaged.db"
    copy.write_bytes(overwritten(sound, 8, random.Random(0).randbytes(PAGE)))
    with pytest.raises(DatabaseError, match=DAMAGED):
        Store.open(f"sqlite:///{copy}")
    copy.write_bytes(sound.read_bytes())
    change_index(copy)
    Store.open(f"sqlite:///{copy}").close()


GONE = r"no longer the file that was opened: somebody moved, replaced or deleted it"
NO_LOG = r"no longer with the log that was opened \(-wal, -shm\).* kept unless another"
OVERWRITTEN = r"was written over by something else than SQLite.* It is left as it is now"


def path_of(url):
    return Path(url.removeprefix("sqlite:///"))


def counted(path):
    with run_query(path, "SELECT count(*) FROM trial") as rows:
        return list(rows)


def check_sound(path):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def fold_log(path):
    """Folds its log into the file, as another program may."""
    with closing(sqlite3.connect(path)) as connection:
        busy, frames, folded = connection.execute("PRAGMA wal_checkpoint").fetchone()
    assert (busy, frames) == (0, folded)


def copy_over(source, target):
    """In another process: one that closes a file loses all of its locks on it."""
    subprocess.run(["cp", source, target], check=True)


@pytest.fixture
def backup(make, tmp_path):
    """A database of somebody else's, with twelve trials."""
    return make.recorded(tmp_path / "backup.db", 12, name="theirs")


@pytest.fixture
def store(sqlite_url, make):
    """A store with five trials of a sweep, that of id 1."""
    with Store.open(sqlite_url) as opened:
        sweep = opened.record_sweep("mine", "{}", 9)
        opened.write(sweep.id, [make.outcome(seed) for seed in range(5)])
        yield opened


@pytest.fixture
def path(store):
    """The store's file."""
    return path_of(store.url)


def test_a_backup_that_is_moved_into_its_place_is_left_as_it_is(store, path, make, backup):
    moved_away = path.with_name("was.db")
    path.rename(moved_away)
    before = backup.read_bytes()
    backup.rename(path)
    with pytest.raises(DatabaseError, match=GONE):
        store.write(1, [make.outcome(6)])
    store.close()
    assert path.read_bytes() == before
    assert (counted(path), counted(moved_away)) == ([(12,)], [(5,)])
    check_sound(path)
    check_sound(moved_away)


@pytest.mark.parametrize("folded", [False, True])
def test_a_backup_that_is_copied_onto_it_stays_as_it_was_copied(store, path, make, backup, folded):
    if folded:
        fold_log(path)
        store.write(1, [])
        store.write(1, [make.outcome(5)])
        fold_log(path)
    copy_over(backup, path)
    with pytest.raises(DatabaseError, match=OVERWRITTEN):
        store.write(1, [make.outcome(6)])
    store.close()
    assert path.read_bytes() == backup.read_bytes()
    assert counted(path) == [(12,)]
    check_sound(path)


def test_one_that_is_copied_onto_it_after_the_last_trial_is_told_at_the_end(
    sqlite_url, make, backup
):
    def run():
        with Store.open(sqlite_url) as store:
            sweep = store.record_sweep("mine", "{}", 9)
            store.write(sweep.id, [make.outcome(0)])
            copy_over(backup, path_of(sqlite_url))

    with pytest.raises(DatabaseError, match=OVERWRITTEN):
        run()
    assert path_of(sqlite_url).read_bytes() == backup.read_bytes()


def test_a_time_that_is_changed_and_a_log_that_another_folds_are_no_replacement(store, path, make):
    os.utime(path)
    store.write(1, [make.outcome(5)])
    fold_log(path)
    store.write(1, [make.outcome(6)])
    os.utime(path)
    store.write(1, [make.outcome(7)])
    assert store.tally(1) == {Verdict.LEAKS: 8}


@pytest.mark.slow
def test_nor_is_what_other_drivers_write_and_fold(sqlite_url, writing_process):
    words = [sys.executable, str(writing_process), sqlite_url, "mine"]
    others = [subprocess.Popen([*words, first, "2000"], stdout=-3) for first in ("0", "9000")]
    while None in [each.poll() for each in others]:
        time.sleep(0.1)
        if path_of(f"{sqlite_url}-wal").exists():
            with closing(sqlite3.connect(path_of(sqlite_url), timeout=30)) as connection:
                connection.execute("PRAGMA wal_checkpoint")
    assert [each.returncode for each in others] == [0, 0]
    assert counted(path_of(sqlite_url)) == [(4000,)]


@pytest.mark.parametrize("endings", [["-wal"], ["-shm"], ["-wal", "-shm"]])
def test_a_log_that_is_deleted_is_told_and_what_was_recorded_is_kept(store, path, make, endings):
    for ending in endings:
        Path(f"{path}{ending}").unlink()
    with pytest.raises(DatabaseError, match=NO_LOG):
        store.write(1, [make.outcome(6)])
    store.close()
    assert counted(path) == [(5,)]
    check_sound(path)


def test_a_file_that_is_deleted_is_told_and_not_made_anew(store, path, make):
    path.unlink()
    with pytest.raises(DatabaseError, match=GONE):
        store.write(1, [make.outcome(6)])
    store.close()
    assert not path.exists()


def test_a_file_of_two_names_is_not_written_to(sqlite_url, tmp_path):
    Store.open(sqlite_url).close()
    os.link(path_of(sqlite_url), tmp_path / "other.db")
    with pytest.raises(DatabaseError, match=r"has 2 names \(hard links\).* Copy it"):
        Store.open(sqlite_url)
    assert counted(tmp_path / "other.db") == [(0,)]


def test_nor_is_one_that_gets_a_second_name_meanwhile(store, path, make, tmp_path):
    os.link(path, tmp_path / "other.db")
    with pytest.raises(DatabaseError, match="has 2 names"):
        store.write(1, [make.outcome(6)])
    (tmp_path / "other.db").unlink()
    store.write(1, [make.outcome(6)])


def test_an_older_file_of_two_names_is_not_migrated(tmp_path):
    kept = Path(__file__).parents[2] / "data" / "leaksweep_0001.sqlite3"
    old = shutil.copy(kept, tmp_path / "old.db")
    before = Path(old).read_bytes()
    os.link(old, tmp_path / "other.db")
    with pytest.raises(DatabaseError, match="has 2 names"):
        Store.open(f"sqlite:///{old}")
    assert Path(old).read_bytes() == before
