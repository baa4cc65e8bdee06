"""The faults: each happens to a driver at a moment drawn at random, and is put right again.

A fault starts the driver, waits for its moment, does its harm, and returns what was committed
by then and how the driver ended.
"""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

import psutil
from scene import Ended, is_alive, wait_until

LOCK_S = 60.0
PAGE = 4096
WAL_KIB = 400
"""About what the log of a finished sweep takes, in KiB."""


@dataclass(frozen=True)
class Hit:
    """What a fault found and left: the rows committed before it, and how each driver ended."""

    before: set
    ended: tuple[Ended, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its name, what it does, the exit codes it may lead to, its runners."""

    name: str
    hit: Callable
    codes: frozenset[int]
    workers: bool = False


def _signalled(number):
    def hit(scene):
        driver = scene.start()
        scene.pause_until_busy(driver)
        before = scene.committed()
        with suppress(ProcessLookupError):  # it may have been quicker
            os.kill(driver.pid, number)
        return Hit(before, (driver.end(),))

    return hit


def kill_worker(scene):
    """Kills one of the worker processes, as the system does where memory runs out."""
    driver = scene.start()

    def workers():
        try:
            found = psutil.Process(driver.pid).children(recursive=True)
            return [one for one in found if one.ppid() != driver.pid]  # but their server
        except psutil.NoSuchProcess:
            return []

    wait_until(lambda: workers() or not is_alive(driver.pid))
    scene.pause(1.5)
    before = scene.committed()
    for worker in workers()[:1]:
        worker.kill()
    return Hit(before, (driver.end(),))


def fill_disk(scene):
    """Lets no file grow beyond a size."""
    driver = scene.start(f"file-size={scene.moments.randint(0, WAL_KIB)}")
    return Hit(set(), (driver.end(),))


def fill_small_disk(scene):
    """Puts the database on a disk that is too small, and then gives it room."""
    size = f"size={scene.moments.randint(8, WAL_KIB)}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", scene.home], check=True)
    ended = scene.start().end()
    subprocess.run(["mount", "-o", "remount,size=64m", scene.home], check=True)
    return Hit(set(), (ended,))


def forbid_writing(scene):
    """Makes the database and its folder read-only, before the driver starts or as it runs."""
    first = scene.start("unprivileged")
    scene.pause_until_busy(first)
    early = scene.moments.random() < 0.5
    if early:
        os.kill(first.pid, signal.SIGKILL)
        first.end()
    before = scene.committed()
    places = [*scene.home.iterdir(), scene.home]
    modes = [place.stat().st_mode for place in places]
    for place in places:
        place.chmod(0o555 if place == scene.home else 0o444)
    ended = (scene.start("unprivileged") if early else first).end()
    for place, mode in reversed(list(zip(places, modes, strict=True))):
        if place.exists():
            place.chmod(mode)
    return Hit(before, (ended,))


def move_away(scene):
    """Moves the database's file away, and back once the driver has ended."""
    driver = scene.start()
    scene.pause_until_busy(driver)
    before = scene.committed()
    elsewhere = scene.folder / "elsewhere.db"
    moved = scene.database.exists()
    if moved:
        scene.database.rename(elsewhere)
    ended = driver.end()
    if moved:
        elsewhere.replace(scene.database)
    return Hit(before, (ended,))


def lock(scene, seconds=None):
    """Another program writes, and takes its time."""
    driver = scene.start()
    scene.pause_until_busy(driver)
    before = scene.committed()
    how = scene.moments.choice(["IMMEDIATE", "EXCLUSIVE"])
    with closing(sqlite3.connect(scene.database, timeout=30, isolation_level=None)) as other:
        other.execute(f"BEGIN {how}")
        wait_until(lambda: False, seconds or scene.moments.uniform(0.2, 2.0))
        other.execute("COMMIT")
    return Hit(before, (driver.end(),))


def lock_for_a_minute(scene):
    """Another program writes for longer than a minute."""
    return lock(scene, LOCK_S)


def _backed_up(scene):
    """Kills a driver after its first trials; the path of a copy, and the rows that it has."""
    driver = scene.start()
    wait_until(lambda: scene.committed() or not is_alive(driver.pid))
    with suppress(ProcessLookupError):
        os.kill(driver.pid, signal.SIGKILL)
    driver.end()
    path = scene.folder / "backup.db"
    with closing(sqlite3.connect(scene.database)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
    return path, scene.committed()


def _put_back(put):
    """A backup is put in the place of the database while a driver runs, in one way or another."""

    def hit(scene):
        backup, rows = _backed_up(scene)
        driver = scene.start()
        wait_until(lambda: len(scene.committed()) > len(rows) or not is_alive(driver.pid))
        scene.pause(0.3)
        put(backup, scene.database)
        return Hit(rows, (driver.end(),))

    return hit


def move_over(backup, database):
    """As `mv` does it: another file has the name."""
    os.replace(backup, database)


def copy_over(backup, database):
    """As `cp` does it: the same file has another content."""
    subprocess.run(["cp", backup, database], check=True)


def restore(backup, database):
    """As SQLite does it, by a transaction like any other."""
    opened = (sqlite3.connect(path, timeout=30) for path in (backup, database))
    source, target = map(closing, opened)
    with source as there, target as here:
        there.backup(here)


def delete_log(scene):
    """Deletes what SQLite has not folded into the file yet, as one who tidies up may."""
    driver = scene.start()
    scene.pause_until_busy(driver)
    before = scene.committed()
    for ending in scene.moments.choice([["-wal"], ["-shm"], ["-wal", "-shm"]]):
        scene.database.with_name(f"{scene.database.name}{ending}").unlink(missing_ok=True)
    return Hit(before, (driver.end(),))


def link(scene):
    """Gives the file a second name while a driver runs, and starts another before it is gone."""
    first = scene.start()
    wait_until(lambda: scene.committed() or not is_alive(first.pid))
    scene.pause(0.5)
    before = scene.committed()
    other = scene.folder / "other.db"
    os.link(scene.database, other)
    ended = (first.end(), scene.start().end())
    other.unlink()
    return Hit(before, ended)


def damage(scene):
    """Writes noise over a page of the file, and puts the file back after a driver has seen it."""
    backup, rows = _backed_up(scene)
    pages = scene.database.stat().st_size // PAGE
    with scene.database.open("r+b") as file:
        file.seek(scene.moments.randrange(1, pages) * PAGE)
        file.write(scene.moments.randbytes(PAGE))
    damaged = scene.database.read_bytes()
    ended = scene.start().end()
    assert scene.database.read_bytes() == damaged
    os.replace(backup, scene.database)
    return Hit(rows, (ended,))


def run_two(scene):
    """Two drivers run the one sweep."""
    first = scene.start()
    scene.pause(1.0)
    second = scene.start()
    return Hit(set(), (first.end(), second.end()))


def set_clock_back(scene):
    """The machine's clock is set back by a day, as far as the driver can tell."""
    return Hit(set(), (scene.start("clock").end(),))


def kinds():
    """Every kind of fault that can be had on this machine."""
    can_mount = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/tmp"], capture_output=True, check=False
    )
    small_disk = fill_small_disk if can_mount.returncode == 0 else fill_disk
    done, failed = 0, 2
    stopped = frozenset({done, 130})
    refused = frozenset({done, 1, failed})
    return (
        Kind("driver killed", _signalled(signal.SIGKILL), frozenset({done, -9})),
        Kind("driver terminated", _signalled(signal.SIGTERM), stopped),
        Kind("driver interrupted", _signalled(signal.SIGINT), stopped),
        Kind("worker killed", kill_worker, frozenset({done}), workers=True),
        Kind("file size limited", fill_disk, refused),
        Kind("disk full", small_disk, refused),
        Kind("made read-only", forbid_writing, refused),
        Kind("moved away", move_away, refused),
        Kind("locked", lock, frozenset({done})),
        Kind("two drivers", run_two, frozenset({done})),
        Kind("clock set back", set_clock_back, frozenset({done})),
        Kind("backup moved over", _put_back(move_over), frozenset({done, failed})),
        Kind("backup copied over", _put_back(copy_over), frozenset({done, failed})),
        Kind("backup restored", _put_back(restore), frozenset({done, failed})),
        Kind("log deleted", delete_log, frozenset({done, failed})),
        Kind("second name", link, frozenset({done, failed})),
        Kind("file damaged", damage, frozenset({failed})),
    )


A_MINUTE = Kind("locked for a minute", lock_for_a_minute, frozenset({0}))
