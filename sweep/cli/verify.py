"""`leaksweep verify`: whether recorded trials still show what was recorded."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli import options
from sweep.cli.help import option
from sweep.cli.output import Format, PrintedAs, print_rows
from sweep.cli.screen import say
from sweep.errors import MisuseError
from sweep.values.words import Axis

if TYPE_CHECKING:
    from sweep.verifying.comparison import Comparison

LINE_EVERY_S = 10.0
EXIT_SOME_DIFFER = 1
COLUMNS = ("trial", "setting", "column", "recorded", "now")


def verify(
    sweep: options.SweepName = None,
    size: Annotated[
        int | None, option("N", "Replay this many, drawn at random.", "--sample", min=1)
    ] = None,
    seed: Annotated[int, option("S", "Of the sample.")] = 0,
    jobs: options.Jobs = None,
    trial_timeout: options.TrialTimeout = None,
    trial_memory: options.TrialMemory = None,
    file: Annotated[
        Path | None, option("FILE.csv[.gz]", "Read trials from this file.", "--from")
    ] = None,
    allow_import: options.AllowImport = False,
    db: options.Db = options.DEFAULT_DB,
    format: PrintedAs = Format.TABLE,
) -> None:
    """Replay recorded trials and say which of them no longer show what was recorded.

    Every column of the outcome is compared, bit for bit, where torch, Python, the machine
    and the optimizer's library are those that were recorded; verdict and causes are where
    they are not. A failed trial must fail with an error of the same type. The database is
    only read. Exit code 0 if all agree, 1 if some do not.

    Example: leaksweep verify article --sample 20
    """
    from sweep.running.limits import Limits
    from sweep.running.runner import Runner
    from sweep.verifying.rerun import replayed, sample
    from sweep.verifying.trial_sources import open_trials

    if file is not None and sweep is not None:
        raise MisuseError("A file of trials has no sweeps in it; leave out SWEEP or --from.")
    limits = Limits(trial_timeout, trial_memory)
    source = open_trials(db, sweep=sweep, file=file)
    numbers = sample(source.numbers, size, seed)
    runner = Runner(jobs, trace=file is None, limits=limits, tell=say)
    runner.check()
    comparisons = replayed(source, numbers, runner, allow_import=allow_import)
    tally = _Tally()
    disagreeing = [each for each in tally.counted(comparisons, len(numbers)) if not each.agrees]
    disagreeing.sort(key=lambda each: each.record.number)
    if disagreeing or format is not Format.TABLE:
        print_rows(COLUMNS, (row for each in disagreeing for row in _rows(each)), format)
    (typer.echo if format is Format.TABLE else say)(tally.in_words(len(source.numbers)))
    if disagreeing:
        raise typer.Exit(EXIT_SOME_DIFFER)


class _Tally(Counter[str]):
    """How the trials that were replayed compare, and what the environment had elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: dict[str, Any] = {}

    def counted(self, comparisons: Iterable[Comparison], chosen: int) -> Iterator[Comparison]:
        """``comparisons``, counted in, with a line on stderr every few seconds."""
        said = time.monotonic()
        for done, each in enumerate(comparisons, start=1):
            self["refused"] += each.refusal is not None
            self["agree"] += each.agrees
            self["exact"] += each.agrees and not each.bits
            self["differ"] += bool(each.differences)
            self.elsewhere |= {column.column: column.recorded for column in each.elsewhere}
            if time.monotonic() - said >= LINE_EVERY_S:
                said = time.monotonic()
                say(f"{done:,}/{chosen:,}: {self.so_far()}")
            yield each

    def so_far(self) -> str:
        """The counts in a few words."""
        parts = [f"{self['agree']:,} agree"]
        if self.elsewhere:
            parts[0] += f" ({self['exact']:,} of them bit for bit)"
        parts += [f"{self['differ']:,} differ"] * bool(self["differ"])
        parts += [f"{self['refused']:,} could not be replayed"] * bool(self["refused"])
        return ", ".join(parts)

    def in_words(self, recorded: int) -> str:
        """What was compared of so many trials, how, and what came of it."""
        replayed = self["agree"] + self["differ"]
        text = f"Replayed {replayed:,} of {recorded:,} recorded trials: {self.so_far()}."
        if not self.elsewhere:
            return f"{text} Every column of the outcome was compared, bit for bit."
        changed = ", ".join(name for name, value in self.elsewhere.items() if value is not None)
        unknown = ", ".join(name for name, value in self.elsewhere.items() if value is None)
        text += f" Not as recorded: {changed}." if changed else ""
        text += f" Not recorded: {unknown}." if unknown else ""
        return f"{text} So verdicts and causes had to agree, and bits need not."


def _rows(comparison: Comparison) -> Iterator[tuple[Any, ...]]:
    """What differs, a row a column; or why the trial was not replayed, as one row."""
    record = comparison.record
    pairs = ((axis.value, record.columns[axis]) for axis in Axis)
    setting = " ".join(f"{axis}={value}" for axis, value in pairs if value is not None)
    trial = (record.name, setting)
    if comparison.refusal is not None:
        yield (*trial, "(not replayed)", record.columns["verdict"], comparison.refusal)
    for each in comparison.differences:
        yield (*trial, each.column, _exact(each.recorded), _exact(each.now))


def _exact(value: object) -> str:
    """``value`` with every digit: the last one may be all that differs."""
    return "null" if value is None else str(value)
