"""`leaksweep` with trials that take hundredths of a second and need no torch, to be hit by faults.

Everything else is the program's own: its commands, its runners, its writer, its database. As a
script: quick_leaksweep.py CONDITION WORDS..., where CONDITION is one of `CONDITIONS` or empty.
"""

import ctypes
import os
import random
import resource
import signal
import sys
import time
from datetime import UTC, datetime, timedelta

TRIAL_S = 0.015
CAPABILITY_VERSION = 0x20080522


def run_trial(planned):
    """An outcome that the seed decides, after a moment."""
    from sweep.values.outcome import Environment, Measurement, Outcome
    from sweep.values.words import Verdict

    time.sleep(TRIAL_S)
    drawn = random.Random(planned.setting.seed)
    seen = Measurement(10, 0, None, 0.0, 0.0, drawn.random(), 0.0, drawn.random(), 0.9, False)
    here = Environment("2.13.0", "3.11.2", "Linux x86_64", "cpu", 1, "0.1.0")
    now = datetime.fromtimestamp(time.time(), UTC)
    return Outcome(planned, here, "torch 2.13.0", Verdict.HOLDS, seen, None, False, 0.0, None, now)


def limit_file_size(kib):
    """No file of this process grows beyond so many KiB, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(kib) * 1024, resource.RLIM_INFINITY))


def give_up_privileges():
    """Gives up what root may do beyond others: for it, nothing is read-only."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(header, none) == 0


def set_clock_back():
    """From half a second on, this process is told that it is yesterday."""
    import sweep.store.store

    right, started = time.time, time.monotonic()

    def told():
        return right() - (86_400 if time.monotonic() - started > 0.5 else 0)

    class Told(datetime):
        """The time of day, as told."""

        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(told(), tz)

    time.time = told
    sweep.store.store.datetime = Told
    assert datetime.now(UTC) - Told.now(UTC) < timedelta(days=1)


CONDITIONS = {
    "file-size": limit_file_size,
    "unprivileged": give_up_privileges,
    "clock": set_clock_back,
}


def leaksweep(condition, words):
    """Runs ``leaksweep`` with these words under the condition; ends the process."""
    import sweep.running.runner
    from sweep.cli.app import main
    from sweep.running.task import Task

    sweep.running.runner.trained = lambda **_: Task(run_trial, preload="")
    name, _, value = condition.partition("=")
    if name:
        CONDITIONS[name](*([value] if value else []))
    sys.argv = ["leaksweep", *words]
    main()


def forked(condition, words, out, err):
    """The same in a process forked from one that has imported it all; prints into those files."""
    os.setsid()
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    leaksweep(condition, words)


if __name__ == "__main__":
    from quick_leaksweep import leaksweep as run  # its functions travel to workers by name

    run(sys.argv[1], sys.argv[2:])
