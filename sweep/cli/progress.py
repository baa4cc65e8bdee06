"""How a running sweep shows itself: one line that is kept up to date, or a line now and then.

On a terminal and in a notebook one line is written over and over; elsewhere one is said every
few seconds. It says no more than is known: no rate before there is an outcome, and then that
of the last while, on which the time left depends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from sweep.cli.screen import harmless, say
from sweep.driver import Observer, Progress
from sweep.values.words import Verdict

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
        with _refreshed(line) if shown else nullcontext(lambda: None) as refresh:

            def observe(progress: Progress) -> None:
                if shown and line.now is None:
                    _say_what_becomes(name, progress)
                line.observe(progress)
                refresh()

            yield observe
    except KeyboardInterrupt as interruption:
        if interruption.args or line.now is None or not line.now.finished:
            raise
        kept = f"What was finished is recorded; {again} goes on from there."
        raise KeyboardInterrupt(kept) from interruption


def _say_what_becomes(name: str, progress: Progress) -> None:
    """Says what becomes of a sweep that is recorded already."""
    planned = f"{progress.planned:,}"
    if progress.extended_from is not None:
        say(f"Extends {name} from {progress.extended_from:,} to {planned} trials.")
    if progress.part_of is not None:
        say(f"A part of {name}: {planned} of its {progress.part_of:,} trials.")


@contextmanager
def _refreshed(line: ProgressLine) -> Iterator[Callable[[], None]]:
    """Has ``line`` shown where people look; yields what to call when it has changed."""
    if _in_a_notebook():
        from IPython.display import display

        def content() -> dict[str, str]:
            return {"text/plain": line.of_width(_WIDE)}

        def update() -> None:
            handle.update(content(), raw=True)

        handle = display(content(), raw=True, display_id=True)
        yield _now_and_then(SHOWN_EVERY_S, update, first=update)
        update()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        console = Console(stderr=True, highlight=False)
        with Live(
            get_renderable=lambda: Text(
                line.of_width(console.width), no_wrap=True, overflow="crop"
            ),
            console=console,
            transient=True,
            refresh_per_second=1 / SHOWN_EVERY_S,
        ):
            yield lambda: None
    else:
        yield _now_and_then(SAID_EVERY_S, lambda: say(line.of_width(_WIDE)), first=line.say_start)


def _in_a_notebook() -> bool:
    """Whether a kernel of Jupyter's runs this; asks only where IPython is there already."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _now_and_then(
    every_s: float, act: Callable[[], None], first: Callable[[], None]
) -> Callable[[], None]:
    """What calls ``first``, and later ``act`` where so many seconds have gone by since."""
    last: float | None = None

    def refresh() -> None:
        nonlocal last
        if last is not None and time.monotonic() - last < every_s:
            return
        (first if last is None else act)()
        last = time.monotonic()

    return refresh


@dataclass(slots=True)
class ProgressLine:
    """What is known of a sweep's progress, as a line of a width that is asked for."""

    name: str
    now: Progress | None = None
    began: float = field(default_factory=time.monotonic)

    def observe(self, progress: Progress) -> None:
        """Takes in where the sweep stands."""
        self.now = progress

    def say_start(self) -> None:
        """Says how much is recorded, where something is left to run."""
        now = self.now
        if now is not None and now.recorded + now.finished < now.planned:
            say(f"{self.name}: {now.recorded:,} of {now.planned:,} trials are recorded.")

    def of_width(self, width: int) -> str:
        """The line: the count whole, and as much of the rest as there is room for."""
        if self.now is None or not self.now.planned:
            return self.name
        done = self.now.recorded + self.now.finished
        full = int(min(done / self.now.planned, 1.0) * BAR)
        ran = self.now.ran
        parts = {
            "name": self.name,
            "bar": "━" * full + "╌" * (BAR - full),
            "count": f"{done:,}/{self.now.planned:,}",
            "pace": self._pace(self.now),
            "tally": ", ".join(f"{each} {ran[each]:,}" for each in Verdict if ran.get(each)),
        }
        line, shown = "", set[str]()
        for part in ("count", "pace", "name", "tally", "bar"):  # the most telling first
            more = " ".join(parts[each] for each in parts if each in {*shown, part} and parts[each])
            if len(more) <= width or part == "count":
                line, shown = more, {*shown, part}
        return line

    def _pace(self, now: Progress) -> str:
        """The rate of late and the time left at that; before, what is waited for."""
        if now.recorded + now.finished >= now.planned:
            return ""
        if not now.finished:
            return f"starting workers, {time.monotonic() - self.began:.0f} s"
        if not now.a_second or now.seconds_left is None:
            return ""
        return f"{now.a_second:.3g}/s {_minutes(now.seconds_left)} left"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
