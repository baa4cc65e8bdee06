"""How a running sweep shows itself: one line that is kept up to date, or a line now and then.

On a terminal and in a notebook one line is written over and over; elsewhere one is said every
few seconds. It says no more than is known: no rate before there is an outcome, and then that
of the last while, on which the time left depends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sweep.cli.screen import harmless, say
from sweep.driver import Observer, Progress
from sweep.values.words import Verdict

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

SAID_EVERY_S = 10.0
SHOWN_EVERY_S = 0.5
BAR = 20
_WIDE = 1000


@contextmanager
def shown_progress(
    name: str, *, shown: bool = True, again: str = "the same command"
) -> Iterator[Observer]:
    """An observer for `run_sweep` that shows how far the sweep of that name is, if ``shown``.

    An interruption of its body goes on with what a person then wants to know: that what was
    finished is recorded, if anything was, and that ``again`` goes on from there.
    """
    line = ProgressLine(harmless(name))
    try:
        with _outlet(line, shown) as observe:
            yield _telling_first(name, observe) if shown else observe
    except KeyboardInterrupt as interruption:
        if interruption.args or line.now is None or not line.now.finished:
            raise
        kept = f"What was finished is recorded; {again} goes on from there."
        raise KeyboardInterrupt(kept) from interruption


def _telling_first(name: str, observe: Observer) -> Observer:
    """``observe``, after saying what becomes of a sweep that is recorded already."""
    told = False

    def observe_and_tell(progress: Progress) -> None:
        nonlocal told
        if not told and progress.extended_from is not None:
            before = f"{progress.extended_from:,}"
            say(f"Extends {name} from {before} to {progress.planned:,} trials.")
        if not told and progress.part_of is not None:
            say(f"A part of {name}: {progress.planned:,} of its {progress.part_of:,} trials.")
        told = True
        observe(progress)

    return observe_and_tell


@contextmanager
def _outlet(line: ProgressLine, shown: bool) -> Iterator[Observer]:
    """An observer that has ``line`` shown where people look."""
    if not shown:
        yield line.observe
    elif _in_a_notebook():
        yield _written_over_in_notebook(line)
    elif sys.stderr.isatty():
        with _written_over_on_terminal(line):
            yield line.observe
    else:
        yield _said(line)


@dataclass(slots=True)
class ProgressLine:
    """What is known of a sweep's progress, as a line of a width that is asked for."""

    name: str
    now: Progress | None = None
    began: float = field(default_factory=time.monotonic)

    def observe(self, progress: Progress) -> None:
        """Takes in where the sweep stands."""
        self.now = progress

    def of_width(self, width: int) -> str:
        """The line: the count whole, and as much of the rest as there is room for."""
        if self.now is None or not self.now.planned:
            return self.name
        done = self.now.recorded + self.now.finished
        parts = {
            "name": self.name,
            "bar": _bar(done / self.now.planned),
            "count": f"{done:,}/{self.now.planned:,}",
            "pace": self._pace(self.now),
            "tally": _tally(self.now),
        }
        shown = {"count"}
        for part in ("pace", "name", "tally", "bar"):  # the most telling first
            if len(_joined(parts, {*shown, part})) <= width:
                shown.add(part)
        return _joined(parts, shown)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield Text(self.of_width(options.max_width), no_wrap=True, overflow="crop")

    def _pace(self, now: Progress) -> str:
        """The rate of late and the time left at that; before, what is waited for."""
        if now.recorded + now.finished >= now.planned:
            return ""
        if not now.finished:
            return f"starting workers, {time.monotonic() - self.began:.0f} s"
        if not now.a_second or now.seconds_left is None:
            return ""
        return f"{now.a_second:.3g}/s {_minutes(now.seconds_left)} left"


def _joined(parts: dict[str, str], shown: set[str]) -> str:
    return " ".join(text for part, text in parts.items() if part in shown and text)


def _bar(part: float) -> str:
    full = int(min(part, 1.0) * BAR)
    return "━" * full + "╌" * (BAR - full)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _tally(progress: Progress) -> str:
    """How many trials of this run have each verdict, such as ``leaks 9, holds 21``."""
    ran = progress.ran
    return ", ".join(f"{verdict} {ran[verdict]:,}" for verdict in Verdict if ran.get(verdict))


@contextmanager
def _written_over_on_terminal(line: ProgressLine) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    with Live(line, console=console, transient=True, refresh_per_second=1 / SHOWN_EVERY_S):
        yield


def _in_a_notebook() -> bool:
    """Whether a kernel of Jupyter's runs this; asks only where IPython is there already."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _written_over_in_notebook(line: ProgressLine) -> Observer:
    """An observer that keeps one line of the cell's output up to date."""
    from IPython.display import display

    handle = display({"text/plain": line.of_width(_WIDE)}, raw=True, display_id=True)
    last = 0.0

    def observe(progress: Progress) -> None:
        nonlocal last
        line.observe(progress)
        ended = progress.recorded + progress.finished >= progress.planned
        if ended or time.monotonic() - last >= SHOWN_EVERY_S:
            handle.update({"text/plain": line.of_width(_WIDE)}, raw=True)
            last = time.monotonic()

    return observe


def _said(line: ProgressLine) -> Observer:
    """An observer that says a line at the start, and one every few seconds."""
    last: float | None = None

    def observe(progress: Progress) -> None:
        nonlocal last
        line.observe(progress)
        done = progress.recorded + progress.finished
        if last is None and done < progress.planned:
            say(f"{line.name}: {progress.recorded:,} of {progress.planned:,} trials are recorded.")
        elif last is None or time.monotonic() - last < SAID_EVERY_S:
            last = last or time.monotonic()
            return
        else:
            say(line.of_width(_WIDE))
        last = time.monotonic()

    return observe
