"""The same trials run by leaksweep and by other tools, one after another on this machine.

    python benchmarks/peers.py [--article 200] [--small 5000] [--full 300]
        [--budget 180] [--write]

Every tool runs `sweep.trial.trial.run_trial` (training, causes and all) on two processes of one
thread each, in a process of its own, and keeps the results in its own store. The clock starts
when its modules are imported and stops when the last result is kept, so that starting workers
counts. A tool that has not finished within the budget is stopped, and its rate is that of the
trials which it finished. Rows of an "own loop" run `own_loop.moved`, what a user
would write: it says whether the layer moved, without causes or measures. The table `full` is of
settings of that preset, drawn by a seed. Beside them: a plain loop in one process, and the
machine's own speed at products of 1024 x 1024 matrices, measured just before, on one core and
on both at once.

``--write`` puts the table into benchmarks/README.md and draws docs/figures/peers.svg.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import altair
import vl_convert
from peak import gigaflop_a_trial, peak_gigaflop_per_second
from peer_tools import FIRST, JOBS, OWN_JOBLIB, OWN_OPTUNA, PEERS, Clock, Work
from write_page import markdown, write_table

from sweep.workloads.sizes import BUILT_IN

FIGURE = Path(__file__).parent.parent / "docs" / "figures" / "peers.svg"
COLUMNS = ("tool", "trials", "seconds", "a second", "x the first", "of both peaks")
Row = tuple[str, ...]
FULL = (OWN_JOBLIB, "leaksweep", OWN_OPTUNA)
PEAK_SECONDS = 3.0
GIGAFLOP_A_TRIAL = gigaflop_a_trial(BUILT_IN["article"], frozen_steps=50, attached_steps=50)


def run_peer(name: str, workload: str, size: int, seconds: float) -> None:
    """Runs one tool in this process and prints what it did as one line of JSON."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = Work(workload, size, Path(folder), seconds)
        started = time.monotonic()
        clock = Clock(started + seconds)
        try:
            PEERS[name](work, clock)
        except TimeoutError:
            clock.lapsed = True
        took = time.monotonic() - started
    print(json.dumps({"finished": clock.finished, "seconds": took, "whole": not clock.lapsed}))


def measured(workload: str, size: int, budget: float) -> Iterator[Row]:
    """A row for each tool, each in a process of its own."""
    loop = 0.0
    both = peak_gigaflop_per_second(JOBS, PEAK_SECONDS)
    names = FULL if workload == "full" else sorted(PEERS, key=FIRST.__ne__)
    for name in names:
        command = [sys.executable, __file__, "--one", name, workload, str(size), str(budget)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            yield name, f"failed: {ended.stderr.strip().splitlines()[-1]}", "", "", "", ""
            continue
        said = json.loads(ended.stdout.strip().splitlines()[-1])
        rate = said["finished"] / said["seconds"]
        loop = loop or rate
        done = f"{said['finished']:,}" + ("" if said["whole"] else f" of {size:,}")
        peak = rate * GIGAFLOP_A_TRIAL / both
        yield (
            name, done, f"{said['seconds']:.1f}", f"{rate:.3g}", f"{rate / loop:.2f}",
            f"{peak:.2f}" if workload == "article" else "",
        )  # fmt: skip


def main() -> None:
    """Measures, prints the table, and writes it where asked."""
    if sys.argv[1:2] == ["--one"]:
        name, workload, size, seconds = sys.argv[2:]
        run_peer(name, workload, int(size), float(seconds))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--article", type=int, default=200)
    parser.add_argument("--small", type=int, default=5000)
    parser.add_argument("--full", type=int, default=300, help="settings of the preset `full`")
    parser.add_argument("--budget", type=float, default=180.0, help="seconds for each tool")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    arguments = parser.parse_args()
    one, both = (peak_gigaflop_per_second(n, PEAK_SECONDS) for n in (1, JOBS))
    print(f"Peak of products: {one:.0f} GFLOP/s on one core, {both:.0f} on both")
    tables = {}
    sizes = {name: getattr(arguments, name) for name in ("article", "small", "full")}
    for workload, size in sizes.items():
        tables[workload] = []
        for row in measured(workload, size, arguments.budget) if size else ():
            tables[workload].append(row)
            print("  ".join(f"{cell:<26}" for cell in row), flush=True)
    if arguments.write:
        for workload, rows in tables.items():
            if rows:
                write_table(f"peers-{workload}", markdown(COLUMNS, rows))
        if all(tables.values()):
            draw(tables)


def draw(tables: Mapping[str, Sequence[Row]]) -> None:
    """Writes the rates as a figure, a panel a workload, on a scale of the plain loop's."""
    rows = [
        {"workload": workload, "tool": row[0], "times the loop": float(row[4])}
        for workload, each in tables.items()
        for row in each
        if row[4]
    ]
    bars = altair.Chart(altair.Data(values=rows), width=220).encode(
        altair.Y("tool:N", sort=None, title=None),
        altair.X("times the loop:Q", title="trials a second, times the plain loop's"),
    )
    marks = bars.mark_bar() + bars.mark_text(align="left", dx=3).encode(text="times the loop:Q")
    panels = marks.facet(altair.Column("workload:N", title=None)).resolve_scale(x="independent")
    FIGURE.write_text(vl_convert.vegalite_to_svg(panels.to_dict()))


if __name__ == "__main__":
    main()
