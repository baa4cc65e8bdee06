"""What reading a large database costs: a million trials of the preset `full`, or more settings.

    python benchmarks/million.py [--trials 1000000] [--rates 2] [--db URL] [--keep FILE]
                                 [--only WORD] [--write]

Makes the database through the store, or reuses the one at ``--db``: the settings are the
preset's with more seeds (``--rates 2``) or more learning rates, the outcomes those of
`million_outcomes`. The last thousandth of the grid is left out, for resuming to find. Then
each item runs in a process of its own, once: tables, views and questions are timed without
the start of Python and its libraries, commands with it; the memory is the process's peak.
Prints a Markdown table; ``--write`` puts it into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from million_outcomes import SWEEP, grid_of, outcomes
from write_page import markdown, write_table

from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.serve.metadata import QUERIES
from sweep.store.store import Store

WRITTEN_AT_ONCE = 1000
COLUMNS = ("what", "s", "CPU s", "peak MiB", "what came out")
COMMANDS = {
    "status": ("status",),
    "sql, a count": ("sql", "SELECT count(*) FROM trial"),
    "sql, a view": ("sql", "SELECT * FROM leak_rate_by_optimizer"),
    "export": ("export", "--out", "{folder}/summary"),
    "report": ("report", "--out", "{folder}/report.html"),
}
LIBRARIES = {
    "resume": ("torch",),
    "table": ("analysis.tables",),
    "table rules": ("analysis.tables", "scipy.optimize"),
    "table importance": ("analysis.tables", "scipy.optimize"),
}
"""What an item's process imports before the clock starts, by the first words of its name."""


@dataclass(frozen=True)
class Cost:
    """What one item took: seconds, of which on a core, the peak in MiB, and what came out."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    found: str

    @property
    def cells(self) -> tuple[str, ...]:
        """Them as the table shows them."""
        times = (f"{self.seconds:.2f}", f"{self.cpu_seconds:.2f}")
        return (*times, f"{self.peak_mib:,.0f}", self.found)


class Stopwatch:
    """The seconds between entering it and leaving it, of the clock and of this process."""

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0

    def __enter__(self) -> None:
        self.seconds -= time.perf_counter()
        self.cpu_seconds -= time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter()
        self.cpu_seconds += time.process_time()

    def cost(self, found: str) -> Cost:
        """What was measured, with this process's largest resident memory so far."""
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return Cost(self.seconds, self.cpu_seconds, mib, found)


def make(url: str, trials: int, rates: int) -> Cost:
    """Writes the database; the cost is the store's, without the making of outcomes."""
    grid = grid_of(trials, rates)
    recorded = trials - trials // 1000
    watch = Stopwatch()
    with Store.open(url) as store:
        sweep = store.record_sweep(SWEEP, grid.canonical(), grid.size)
        every = outcomes(grid, recorded)
        while batch := list(itertools.islice(every, WRITTEN_AT_ONCE)):
            with watch:
                store.write(sweep.id, batch)
    return watch.cost(f"{recorded / watch.seconds:,.0f} trials a second")


def items() -> dict[str, Callable[[str], str]]:
    """What is measured inside a process, by name: each takes the URL and says what came out."""
    from analysis.tables import SUMMARIES
    from sweep.store.views import VIEWS

    tables = {f"table {name}": partial(_table, name) for name in SUMMARIES}
    views = {f"view {view.name}": partial(_view, view.name) for view in VIEWS}
    questions = {f"question {query.name}": partial(_question, query.name) for query in QUERIES}
    return {"resume": _resume, **tables, **views, **questions}


def _resume(url: str) -> str:
    with Store.open(url) as store:
        sweep = store.sweep(SWEEP)
        assert sweep is not None
        grid = Grid(Spec.checked(json.loads(sweep.spec), "the recorded spec"))
        left = sum(1 for _ in store.missing(sweep.id, grid))
    return f"{left:,} of {grid.size:,} left"


def _table(name: str, url: str) -> str:
    from analysis.tables import SUMMARIES

    return f"{len(SUMMARIES[name].table(url)):,} rows"


def _view(name: str, url: str) -> str:
    return f"{_rows(url, f'SELECT * FROM {name}', {}):,} rows"


def _question(name: str, url: str) -> str:
    query = next(query for query in QUERIES if query.name == name)
    return f"{_rows(url, query.sql, dict.fromkeys(query.parameters, '')):,} rows"


def _rows(url: str, sql: str, parameters: dict[str, str]) -> int:
    """How many rows come out, by nothing but Python's own sqlite3 or psycopg."""
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"))
    else:
        connection = psycopg.connect(url.replace("+psycopg", ""))
    with closing(connection):
        cursor = connection.cursor()
        cursor.execute(sql, parameters)
        rows = 0
        while block := cursor.fetchmany(10_000):
            rows += len(block)
    return rows


def measured_here(item: str, url: str) -> Cost:
    """What one item costs in this process."""
    for name in LIBRARIES.get(item) or LIBRARIES.get(item.split()[0], ()):
        importlib.import_module(name)
    work, watch = items()[item], Stopwatch()
    with watch:
        found = work(url)
    return watch.cost(found)


def measured_apart(item: str, url: str, folder: Path) -> Cost:
    """What one item costs in a process of its own."""
    if item not in COMMANDS:
        output = subprocess.check_output(
            [sys.executable, __file__, "--measure", item, "--db", url], text=True
        )
        return Cost(**json.loads(output))
    words = [word.format(folder=folder) for word in COMMANDS[item]]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", *words, "--db", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    found = f"exit code {process.returncode}"
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, found)


def measured(url: str, arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """A row of the table for each item asked for, and for the making where it had to be made."""
    if not _is_made(url):
        yield "write", *make(url, arguments.trials, arguments.rates).cells
    for item in (*COMMANDS, *items()):
        if arguments.only in item and _can(item, url):
            yield item, *measured_apart(item, url, folder).cells


def main() -> None:
    """Makes or takes the database, measures, prints, and writes the table where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--rates", type=int, default=2, help="learning rates; seeds fill up")
    parser.add_argument("--db", metavar="URL", help="a database made before, or an empty one")
    parser.add_argument("--keep", metavar="FILE", help="make it there and keep it")
    parser.add_argument("--only", metavar="WORD", default="", help="items whose name has it")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    parser.add_argument("--measure", metavar="ITEM", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(asdict(measured_here(arguments.measure, arguments.db))))
        return
    print(markdown(COLUMNS, []))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(arguments.keep or f"{folder}/million.db").resolve()
        for row in measured(arguments.db or f"sqlite:///{file}", arguments, Path(folder)):
            rows.append(row)
            print(f"| {' | '.join(row)} |", flush=True)
    if arguments.write:
        write_table("million", markdown(COLUMNS, rows))


def _is_made(url: str) -> bool:
    with Store.open(url) as store:
        return store.sweep(SWEEP) is not None


def _can(item: str, url: str) -> bool:
    """The questions are for SQLite alone, as the page is."""
    return url.startswith("sqlite") or not item.startswith("question")


if __name__ == "__main__":
    main()
