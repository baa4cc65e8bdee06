"""What it costs to publish a sweep to Optuna and to adopt it again, by trials and by storage.

    python benchmarks/publishing.py [--journal 10000,100000] [--sql 1000]

Each number of trials is a sweep of its own with the outcomes of `million_outcomes`. Publishing
again finds nothing new. Seconds are of the clock, memory is the peak of a process of its own.
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from million_outcomes import SWEEP, grid_of, outcomes

from sweep.publishing.adopt import adopt_published, read_study
from sweep.publishing.publish import publish
from sweep.searching.objective import Objective
from sweep.store.store import Store


def recorded(folder: Path, trials: int) -> str:
    """The path of a database with a sweep of so many trials."""
    grid, path = grid_of(trials, 2), str(folder / f"{trials}.db")
    with Store.open(path) as store:
        sweep = store.record_sweep(SWEEP, grid.canonical(), trials)
        remaining = outcomes(grid, trials)
        while some := list(islice(remaining, 1000)):
            store.write(sweep.id, some)
    return path


def _cost(do: Callable[[], object], told: multiprocessing.Queue) -> None:
    started = time.perf_counter()
    do()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told.put((time.perf_counter() - started, peak))


def cost(do: Callable[[], object]) -> tuple[float, float]:
    """The seconds that ``do`` takes in a process of its own, and that process's peak in MiB."""
    told: multiprocessing.Queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=_cost, args=(do, told))
    process.start()
    found: tuple[float, float] = told.get()
    process.join()
    return found


def rows(folder: Path, trials: int, suffix: str) -> Iterator[str]:
    """A line of the table for publishing, publishing again, and adopting."""
    db, storage = recorded(folder, trials), str(folder / f"{trials}{suffix}")
    drift = [Objective.DRIFT_RATIO]
    kinds: dict[str, Callable[[], object]] = {
        "publish": lambda: publish(db, SWEEP, storage, objectives=drift),
        "publish again": lambda: publish(db, SWEEP, storage, objectives=drift),
        "adopt": lambda: adopt_published(read_study(storage), str(folder / f"{trials}-back.db")),
    }
    where = "journal" if suffix == ".log" else "SQLite"
    for what, do in kinds.items():
        seconds, peak = cost(do)
        size = Path(storage).stat().st_size / 1e6
        yield f"| {what} | {where} | {trials:,} | {seconds:.1f} | {peak:,.0f} | {size:.0f} |"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journal", default="10000,100000")
    parser.add_argument("--sql", default="1000")
    given = parser.parse_args()
    print("| what | storage | trials | s | peak MiB | storage MB |")
    print("|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for suffix, numbers in ((".log", given.journal), (".db-optuna", given.sql)):
            for trials in filter(None, numbers.split(",")):
                for line in rows(Path(folder), int(trials), suffix):
                    print(line, flush=True)


if __name__ == "__main__":
    main()
