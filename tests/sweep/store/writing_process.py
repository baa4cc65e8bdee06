"""A process of its own that writes to a sweep: run by tests that kill it, or run two of it.

Usage: writing_process.py URL SWEEP FIRST_SEED TRIALS. Prints a line for each commit.
"""

import sys
from dataclasses import replace
from datetime import UTC, datetime

from sweep.store.store import Store
from sweep.values.outcome import Causes, Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import Verdict

ENVIRONMENT = Environment("2.13.0", "3.11.2", "Linux x86_64", "cpu", 1, "0.1.0")
MEASUREMENT = Measurement(10, 5, 1, 0.5, 2.0, 4.0, 0.5, 1.1, 0.9, False, 0.75, 3.5)
HELD = Measurement(10, 0, None, 0.0, 0.0, 4.0, 0.0, 1.1, 0.9, False)
CAUSES = Causes(True, True, False, False, False, "history+decay")


def planned(seed=0, **changes):
    """A planned trial that differs by its seed."""
    setting = {"optimizer": "SGD", "lr": 1.0, "weight_decay": 0.0, "momentum": 0.9} | changes
    return PlannedTrial(Setting(seed=seed, **setting), "small", 20)


def environment(device):
    """An environment that differs by its device."""
    return replace(ENVIRONMENT, device=device)


def outcome(seed=0, verdict=Verdict.LEAKS, **changes):
    """A finished trial with that verdict; ``changes`` replace fields of Outcome."""
    leaks, failed = verdict is Verdict.LEAKS, verdict is Verdict.FAILED
    fields = {
        "planned": planned(seed),
        "environment": ENVIRONMENT,
        "optimizer_package": "torch 2.13.0",
        "verdict": verdict,
        "measurement": None if failed else MEASUREMENT if leaks else HELD,
        "causes": CAUSES if leaks else None,
        "sideways": None if failed else False,
        "train_seconds": 0.25,
        "error": "ValueError: no" if failed else None,
        "finished_at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    }
    return Outcome(**(fields | changes))


def recorded(path, trials, *, name="mine"):
    """``path``, with a new database of that many trials of one sweep."""
    with Store.open(f"sqlite:///{path}") as store:
        sweep = store.record_sweep(name, "{}", trials)
        store.write(sweep.id, [outcome(seed) for seed in range(trials)])
    return path


def main(url, name, first_seed, trials):
    """Writes ``trials`` outcomes from ``first_seed`` on, ten to a commit."""
    with Store.open(url) as store:
        sweep = store.record_sweep(name, "{}", trials)
        for start in range(first_seed, first_seed + trials, 10):
            store.write(sweep.id, [outcome(seed) for seed in range(start, start + 10)])
            print(start + 10 - first_seed, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
