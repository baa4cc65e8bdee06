import errno
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from sweep.errors import SystemLimitError
from sweep.running import fork_server
from sweep.running.fork_server import ForkServer, module_path, running
from sweep.running.runner import Runner
from sweep.running.task import Task
from sweep.running.worker import Worker
from sweep.values.setting import PlannedTrial, Setting

NOTHING = "sweep.running.limits"  # a module that is soon imported


@pytest.fixture(autouse=True)
def servers_of_this_test(monkeypatch):
    """Those that it starts end with it; others are left alone."""
    monkeypatch.setattr(fork_server, "_servers", mine := [])
    yield
    for server in mine:
        server.close()
        server.wait()


def planned(seed=0):
    return PlannedTrial(Setting("SGD", 1.0, 0.0, 0.0, seed=seed), "small", 2)


def one_worker_of(server):
    connection, theirs = os.pipe()
    try:
        return server.fork(theirs)
    finally:
        os.close(theirs)
        os.close(connection)


def wait_until(holds, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def is_gone(pid):
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_one_server_is_kept_for_what_it_has_imported():
    assert running(NOTHING) is running(NOTHING)


def test_a_server_that_has_ended_is_replaced():
    first = running(NOTHING)
    psutil.Process(first._process.pid).kill()
    assert wait_until(lambda: not first.serves(NOTHING))
    second = running(NOTHING)
    assert second is not first
    assert one_worker_of(second) > 0


def test_a_server_of_another_environment_is_replaced(monkeypatch):
    first = running(NOTHING)
    monkeypatch.setenv("LEAKSWEEP_DB", "sqlite:///other.db")  # no library reads it
    assert running(NOTHING) is first
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert running(NOTHING) is not first


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGABRT, -6)])
def test_how_a_worker_ended_is_told(number, code):
    server = running(NOTHING)
    ours, theirs = socket.socketpair()  # open, so that it waits for work
    with ours, theirs:
        pid = server.fork(theirs.fileno())
        os.kill(pid, number)
        assert server.end(pid, 5.0) == code


def test_a_number_that_is_no_workers_is_killed_by_nobody():
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with pytest.raises(OSError, match=os.strerror(errno.ECHILD)):
            running(NOTHING).end(other.pid, 0.0)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_workers_end_with_their_server():
    worker = Worker(Task(lambda _: time.sleep(600), preload=NOTHING))
    worker.give((planned(),))
    server = running(NOTHING)
    (process,) = psutil.Process(server._process.pid).children()
    server.close()
    assert wait_until(lambda: is_gone(process.pid))
    worker.kill()


def test_a_module_in_the_current_folder_is_looked_for_by_no_worker(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    monkeypatch.syspath_prepend(tmp_path)
    assert not {"", str(tmp_path)} & set(module_path())
    assert str(fork_server.Path(fork_server.__file__).parents[2]) in module_path()


@pytest.mark.parametrize("refused", ["Popen", "fork"])
def test_a_process_that_the_system_refuses_is_one_message(monkeypatch, refused):
    def no_more(*_, **__):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    if refused == "Popen":
        monkeypatch.setattr(subprocess, "Popen", no_more)
    else:
        monkeypatch.setattr(ForkServer, "fork", no_more)
    message = r"No process for trials could be started: .*Resource temporarily unavailable"
    with pytest.raises(SystemLimitError, match=message):
        list(Runner(2, run_trial=print).run([planned()]))


def test_a_thread_that_the_system_refuses_leaves_no_server(monkeypatch):
    def no_more(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(fork_server.threading.Thread, "start", no_more)
    with pytest.raises(SystemLimitError, match="can't start new thread"):
        running(NOTHING)
