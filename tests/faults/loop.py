"""Faults, one after the other, each at a moment drawn at random: `make test-faults`.

After each of them the database is sound, what was committed is there unchanged, the same
command finishes the sweep, every setting is recorded once, and what a person saw was at most
one message. Usage: loop.py [FAULTS [SEED]]; prints a tally and ends with 0 if all that held.
"""

import argparse
import os
import sys
import tempfile
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from kinds import A_MINUTE, kinds
from scene import TRIALS, Scene

AT_ONCE = 3
AND_A_LONG_ONE = 50


@dataclass
class Tally:
    """What became of the faults.

    Attributes:
        recorded: trials recorded, over all sweeps.
        committed: how many of them were committed before the fault or by its end.
        lost, doubled: of those, how many were gone, or changed, or there twice.
        wrong: for each fault after which something did not hold, what.
    """

    faults: Counter = field(default_factory=Counter)
    recorded: int = 0
    committed: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self):
        lines = [f"{name:20} {number:4}" for name, number in self.faults.items()]
        lines.append(
            f"{self.faults.total()} faults, {self.recorded:,} trials recorded, {self.committed:,} "
            f"of them by the fault; lost {self.lost}, doubled {self.doubled}"
        )
        return "\n".join([*lines, *self.wrong])


def suffer(kind, scene, tally):
    """One fault, what must hold after it, and the end of the sweep by the same command."""
    hit = kind.hit(scene)
    scene.check_whole()
    after = scene.committed()
    for ended in hit.ended:
        check_message(ended, kind.codes)
    finished = scene.start().end()
    assert finished.code == 0, finished
    assert finished.complaints == [], finished
    scene.check_whole()
    rows = scene.committed()
    tally.recorded += len(rows)
    tally.committed += len(after)
    tally.lost += len((hit.before - after) | (after - rows))
    tally.doubled += len(rows) - TRIALS
    scene.check_finished()
    assert hit.before <= after <= rows


def check_message(ended, codes):
    """Raises AssertionError unless the driver ended as it may, and said at most why."""
    assert ended.code in codes, ended
    assert "Traceback" not in ended.err, ended
    assert len(ended.complaints) == (1 if ended.code > 0 else 0), ended


def run(faults, seed=0, *, say=print):
    """The tally of so many faults, of each kind in turn."""
    tally = Tally()
    all_kinds = kinds()
    chosen = [all_kinds[number % len(all_kinds)] for number in range(faults)]
    if faults >= AND_A_LONG_ONE:
        chosen[0] = A_MINUTE
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:

        def one(number):
            kind = chosen[number]
            workers = kind.workers or number % 7 == 1
            backend = ("--jobs", "2") if workers else ("--jobs", "1")
            fresh = workers or number % 4 == 0  # a forked one would not end its workers
            scene = Scene(Path(folder, str(number)), Random(f"{seed}/{number}"), fresh, backend)
            tally.faults[kind.name] += 1
            try:
                suffer(kind, scene, tally)
            except Exception:  # noqa: BLE001  # whatever it is, it is told at the end
                tally.wrong.append(f"fault {number}, {kind.name}: {traceback.format_exc()}")
            finally:
                scene.close()

        list(pool.map(one, range(faults)))
    say(tally)
    return tally


def main():
    """Runs from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("faults", type=int, nargs="?", default=68)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    asked = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    tally = run(asked.faults, asked.seed)
    sys.exit(1 if tally.wrong or tally.lost or tally.doubled else 0)


if __name__ == "__main__":
    main()
