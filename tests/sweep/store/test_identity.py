"""A database that is replaced, removed or has two names under a driver is not written to."""

import os
import shutil
from pathlib import Path

import pytest

from sweep.errors import DatabaseError
from sweep.store.query import run_query
from sweep.store.store import Store

GONE = r"no longer the file that was opened: somebody moved, replaced or deleted it"


def path_of(url):
    return Path(url.removeprefix("sqlite:///"))


def counted(path):
    with run_query(path, "SELECT count(*) FROM trial") as rows:
        return list(rows)


def test_a_backup_that_is_put_in_its_place_is_left_as_it_is(sqlite_url, make, tmp_path):
    with Store.open(sqlite_url) as store:
        sweep = store.record_sweep("mine", "{}", 9)
    backup = Path(shutil.copy(path_of(sqlite_url), tmp_path / "backup.db"))
    with Store.open(sqlite_url) as store:
        store.write(sweep.id, [make.outcome(0)])
        path_of(sqlite_url).rename(tmp_path / "was.db")
        for beside in ("-wal", "-shm"):
            Path(f"{path_of(sqlite_url)}{beside}").rename(tmp_path / f"was.db{beside}")
        before = backup.read_bytes()
        backup.rename(path_of(sqlite_url))
        with pytest.raises(DatabaseError, match=GONE):
            store.write(sweep.id, [make.outcome(1)])
    assert path_of(sqlite_url).read_bytes() == before
    assert counted(tmp_path / "was.db") == [(1,)]


def test_a_file_that_is_deleted_is_told_and_not_made_anew(sqlite_url, make):
    with Store.open(sqlite_url) as store:
        sweep = store.record_sweep("mine", "{}", 9)
        path_of(sqlite_url).unlink()
        with pytest.raises(DatabaseError, match=GONE):
            store.write(sweep.id, [make.outcome(1)])
    assert not path_of(sqlite_url).exists()


def test_a_file_of_two_names_is_not_written_to(sqlite_url, tmp_path):
    Store.open(sqlite_url).close()
    os.link(path_of(sqlite_url), tmp_path / "other.db")
    with pytest.raises(DatabaseError, match=r"has 2 names \(hard links\).* Copy it"):
        Store.open(sqlite_url)
    assert counted(tmp_path / "other.db") == [(0,)]
