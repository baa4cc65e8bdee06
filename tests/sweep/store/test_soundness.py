"""A damaged file is told before anything is written to it."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sweep.errors import DatabaseError
from sweep.store import soundness
from sweep.store.soundness import is_whole
from sweep.store.store import Store

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
