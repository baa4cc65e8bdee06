import sqlite3
import threading
import time

import pytest

from sweep.errors import DatabaseError, SystemLimitError
from sweep.store import writer as writer_module
from sweep.store.store import Store
from sweep.store.writer import Writer
from sweep.values.words import Verdict


@pytest.fixture
def store(sqlite_url):
    with Store.open(sqlite_url, busy_timeout_s=5) as opened:
        yield opened


@pytest.fixture
def sweep(store):
    return store.record_sweep("mine", "{}", 10)


def recorded(store, sweep):
    return store.tally(sweep.id)[Verdict.LEAKS]


def test_everything_put_is_committed_on_leaving(store, sweep, make):
    with Writer(store, sweep.id) as writer:
        for seed in range(2500):
            writer.put(make.outcome(seed))
    assert recorded(store, sweep) == 2500


def test_an_outcome_is_committed_within_a_second_of_its_put(store, sweep, make):
    with Writer(store, sweep.id) as writer:
        writer.put(make.outcome())
        time.sleep(1)
        assert recorded(store, sweep) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_what_was_put_is_committed_when_the_driver_raises(store, sweep, make, error):
    with pytest.raises(error), Writer(store, sweep.id) as writer:  # noqa: PT012
        writer.put(make.outcome())
        raise error
    assert recorded(store, sweep) == 1


def test_a_writer_that_gets_nothing_writes_nothing(store, sweep):
    with Writer(store, sweep.id):
        pass
    assert recorded(store, sweep) == 0


def test_a_failure_is_raised_by_a_later_put_and_ends_the_thread(store, sweep, make):
    bad = make.outcome(train_seconds=None)
    with (  # noqa: PT012
        pytest.raises(DatabaseError, match="Cannot write to"),
        Writer(store, sweep.id, every_s=0) as writer,
    ):
        writer.put(bad)
        for seed in range(100):
            writer.put(make.outcome(seed))
            time.sleep(0.05)
    assert "leaksweep-writer" not in {thread.name for thread in threading.enumerate()}


def test_a_failure_that_no_put_has_met_is_raised_on_leaving(store, sweep, make):
    with (
        pytest.raises(DatabaseError, match="Cannot write to"),
        Writer(store, sweep.id, every_s=30) as writer,
    ):
        writer.put(make.outcome(train_seconds=None))


def test_a_failure_is_a_note_on_what_the_driver_raises(store, sweep, make):
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt) as caught,
        Writer(store, sweep.id) as writer,
    ):
        writer.put(make.outcome(train_seconds=None))
        raise KeyboardInterrupt
    assert "Cannot write to" in caught.value.__notes__[0]


def test_the_thread_ends_though_an_interruption_kept_the_driver_from_closing_it(
    store, sweep, make, monkeypatch
):
    def interrupted(*_):
        raise KeyboardInterrupt

    def drive():
        with pytest.raises(KeyboardInterrupt), Writer(store, sweep.id) as writer:
            writer.put(make.outcome())

    monkeypatch.setattr(Writer, "__exit__", interrupted)
    driver = threading.Thread(target=drive)
    driver.start()
    driver.join()
    deadline = time.monotonic() + 20
    while "leaksweep-writer" in {thread.name for thread in threading.enumerate()}:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert recorded(store, sweep) == 1


def test_a_thread_that_the_system_refuses_is_one_message(store, sweep, monkeypatch):
    def refused(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    message = "No thread that writes could be started: can't start new thread. What was finished"
    with pytest.raises(SystemLimitError, match=message), Writer(store, sweep.id):
        pass


def test_a_lock_held_by_another_program_is_waited_for(store, sweep, make, sqlite_url):
    other = sqlite3.connect(
        sqlite_url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(1, other.close)
    release.start()
    with Writer(store, sweep.id) as writer:
        writer.put(make.outcome())
    release.join()
    assert recorded(store, sweep) == 1


def test_a_full_queue_holds_the_driver_back(store, sweep, make, monkeypatch):
    monkeypatch.setattr(writer_module, "QUEUED_AT_MOST", 3)
    monkeypatch.setattr(writer_module, "MOST_AT_ONCE", 1)
    monkeypatch.setattr(writer_module, "_LOOK_S", 0.01)
    waiting = []
    write = store.write

    def slowly(*arguments):
        time.sleep(0.03)
        waiting.append(writer._queue.qsize())
        write(*arguments)

    monkeypatch.setattr(store, "write", slowly)
    with Writer(store, sweep.id) as writer:
        for seed in range(12):
            writer.put(make.outcome(seed))
    assert max(waiting) == 3
    assert recorded(store, sweep) == 12
