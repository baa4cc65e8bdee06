"""The program as a person runs it: in this process, and as a process of its own.

Puts this folder on the path, here and in the processes that tests start, so that
`planted:Momentum` and its like name classes that a trial can import wherever it runs.
"""

import gc
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.append(HERE)


@pytest.fixture(scope="session", autouse=True)
def planted_is_importable_in_other_processes():
    """New processes look here, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", HERE, prepend=os.pathsep)
        yield


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def leaksweep(monkeypatch, capsys):
    """Runs ``leaksweep`` with these words in this process; returns how it ended."""
    from sweep.cli.app import main

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["leaksweep", *map(str, words)])
        handlers = {number: signal.getsignal(number) for number in HANDLED}
        hook = sys.unraisablehook
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            gc.unfreeze()
            sys.unraisablehook = hook
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return Ended(ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def start_leaksweep():
    """Starts ``leaksweep`` as a process of its own, the leader of its own process group."""
    started = []

    def start(*words, **options):
        command = [sys.executable, "-m", "leaksweep", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, start_new_session=True, **(pipes | options)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def leaksweep_process(start_leaksweep):
    """Runs ``leaksweep`` as a process of its own to its end; returns how it ended."""

    def run(*words, timeout_s=120, **options):
        process = start_leaksweep(*words, **options)
        out, err = process.communicate(timeout=timeout_s)
        return Ended(process.returncode, out, err)

    return run
