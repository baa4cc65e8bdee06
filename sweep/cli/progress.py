"""How a running sweep shows itself on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from sweep.cli.screen import harmless, say
from sweep.driver import Observer, Progress
from sweep.values.words import Verdict

PLAIN_LINE_EVERY_S = 10.0


@contextmanager
def shown_progress(name: str, *, shown: bool = True) -> Iterator[Observer]:
    """An observer for `run_sweep` that shows how far the sweep of that name is, if ``shown``."""
    if not shown:
        yield lambda _: None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_lines(name)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[tally]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(harmless(name), total=None, rate="", tally="")

        def observe(progress: Progress) -> None:
            bar.update(
                task,
                total=progress.planned,
                completed=progress.recorded + progress.finished,
                rate=_rate(progress),
                tally=_tally(progress),
            )

        yield observe


def _plain_lines(name: str) -> Observer:
    """An observer that says a line at the start, and one every few seconds."""
    last: float | None = None

    def observe(progress: Progress) -> None:
        nonlocal last
        done = progress.recorded + progress.finished
        if last is None and done < progress.planned:
            say(f"{name}: {progress.recorded:,} of {progress.planned:,} trials are recorded.")
        elif last is None or time.monotonic() - last < PLAIN_LINE_EVERY_S:
            last = last or time.monotonic()
            return
        else:
            say(f"{name}: {done:,}/{progress.planned:,} {_rate(progress)} {_tally(progress)}")
        last = time.monotonic()

    return observe


def _rate(progress: Progress) -> str:
    return f"{progress.finished / progress.seconds:.3g}/s" if progress.seconds else ""


def _tally(progress: Progress) -> str:
    """How many trials of this run have each verdict, such as ``leaks 9, holds 21``."""
    ran = progress.ran
    return ", ".join(f"{verdict} {ran[verdict]}" for verdict in Verdict if ran.get(verdict))
