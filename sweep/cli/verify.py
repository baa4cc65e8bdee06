"""`leaksweep verify`: whether recorded trials still show what was recorded."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.options import (
    DEFAULT_DB,
    AllowImport,
    Db,
    Jobs,
    SweepName,
    TrialMemory,
    TrialTimeout,
    trials_at_once,
)
from sweep.cli.output import Format, PrintedAs, print_rows
from sweep.cli.screen import say
from sweep.errors import MisuseError
from sweep.values.words import Axis

if TYPE_CHECKING:
    from sweep.verifying.comparison import Comparison
    from sweep.verifying.recorded_trial import RecordedTrial

LINE_EVERY_S = 10.0
EXIT_SOME_DIFFER = 1
COLUMNS = ("trial", "setting", "column", "recorded", "now")


def verify(
    sweep: SweepName = None,
    size: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", min=1, help="Replay this many, drawn at random."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the sample.")] = 0,
    jobs: Jobs = None,
    trial_timeout: TrialTimeout = None,
    trial_memory: TrialMemory = None,
    file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE.csv[.gz]", help="Read trials from this file."),
    ] = None,
    allow_import: AllowImport = False,
    db: Db = DEFAULT_DB,
    format: PrintedAs = Format.TABLE,  # noqa: A002
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
    runner = Runner(trials_at_once(jobs), trace=file is None, limits=limits, tell=say)
    runner.check()
    comparisons = replayed(source, numbers, runner, allow_import=allow_import)
    tally = _Tally(len(numbers), len(source.numbers))
    disagreeing = [each for each in _shown(comparisons, tally) if not each.agrees]
    disagreeing.sort(key=lambda each: each.record.number)
    if disagreeing or format is not Format.TABLE:
        print_rows(COLUMNS, (row for each in disagreeing for row in _rows(each)), format)
    (typer.echo if format is Format.TABLE else say)(tally.in_words())
    if disagreeing:
        raise typer.Exit(EXIT_SOME_DIFFER)


@dataclass
class _Tally:
    """How many trials were replayed, out of how many, and how they compare."""

    chosen: int
    recorded: int
    agree: int = 0
    exact: int = 0
    differ: int = 0
    refused: int = 0
    elsewhere: dict[str, Any] = field(default_factory=dict)

    def add(self, comparison: Comparison) -> None:
        """Counts ``comparison`` in."""
        self.refused += comparison.refusal is not None
        self.agree += comparison.agrees
        self.exact += comparison.agrees and not comparison.bits
        self.differ += bool(comparison.differences)
        self.elsewhere |= {each.column: each.recorded for each in comparison.elsewhere}

    @property
    def done(self) -> int:
        """Comparisons so far."""
        return self.agree + self.differ + self.refused

    def so_far(self) -> str:
        """The counts in a few words."""
        parts = [f"{self.agree:,} agree"]
        if self.elsewhere:
            parts[0] += f" ({self.exact:,} of them bit for bit)"
        parts += [f"{self.differ:,} differ"] * bool(self.differ)
        parts += [f"{self.refused:,} could not be replayed"] * bool(self.refused)
        return ", ".join(parts)

    def in_words(self) -> str:
        """What was compared, how, and what came of it."""
        replayed = self.done - self.refused
        text = f"Replayed {replayed:,} of {self.recorded:,} recorded trials: {self.so_far()}."
        if not self.elsewhere:
            return f"{text} Every column of the outcome was compared, bit for bit."
        changed = ", ".join(name for name, value in self.elsewhere.items() if value is not None)
        unknown = ", ".join(name for name, value in self.elsewhere.items() if value is None)
        text += f" Not as recorded: {changed}." if changed else ""
        text += f" Not recorded: {unknown}." if unknown else ""
        return f"{text} So verdicts and causes had to agree, and bits need not."


def _shown(comparisons: Iterable[Comparison], tally: _Tally) -> Iterator[Comparison]:
    """``comparisons``, counted, with a line on stderr every few seconds."""
    said = time.monotonic()
    for comparison in comparisons:
        tally.add(comparison)
        if time.monotonic() - said >= LINE_EVERY_S:
            said = time.monotonic()
            say(f"{tally.done:,}/{tally.chosen:,}: {tally.so_far()}")
        yield comparison


def _rows(comparison: Comparison) -> Iterator[tuple[Any, ...]]:
    """What differs, a row a column; or why the trial was not replayed, as one row."""
    record = comparison.record
    trial = (record.name, _setting(record))
    if comparison.refusal is not None:
        yield (*trial, "(not replayed)", record.columns["verdict"], comparison.refusal)
    for each in comparison.differences:
        yield (*trial, each.column, _exact(each.recorded), _exact(each.now))


def _setting(record: RecordedTrial) -> str:
    pairs = [(axis.value, record.columns[axis]) for axis in Axis]
    return " ".join(f"{axis}={value}" for axis, value in pairs if value is not None)


def _exact(value: object) -> str:
    """``value`` with every digit: the last one may be all that differs."""
    return "null" if value is None else str(value)
