"""What was recorded of a trial, held against what it shows now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sweep.store.rows import step_rows, trial_row
from sweep.values.outcome import CAUSE_FLAGS, Outcome
from sweep.values.words import Verdict
from sweep.verifying.recorded_trial import SHOWN_COLUMNS, STEP, SURROUNDINGS, RecordedTrial

ON_EVERY_MACHINE = frozenset({"verdict", "error", "sideways", "causes", *CAUSE_FLAGS})
"""The columns that are the same wherever a trial runs: verdict and causes. The others depend on
a machine's floating point, in the last digits or in a count."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A column with its recorded value and the one that a replay gave; null is None."""

    column: str
    recorded: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """One recorded trial and its replay.

    Attributes:
        record: what was recorded.
        elsewhere: what is not as it was when it was recorded: versions, machine, threads.
        bits: every column of the outcome that is not equal, whatever the surroundings.
        refusal: why it could not be replayed; None where it was.
    """

    record: RecordedTrial
    elsewhere: tuple[Difference, ...] = ()
    bits: tuple[Difference, ...] = ()
    refusal: str | None = None

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Those of ``bits`` that mean something: all in the same surroundings, else a few."""
        if not self.elsewhere:
            return self.bits
        return tuple(each for each in self.bits if each.column in ON_EVERY_MACHINE)

    @property
    def agrees(self) -> bool:
        """Whether it was replayed and showed what was recorded."""
        return self.refusal is None and not self.differences


def compare(record: RecordedTrial, outcome: Outcome) -> Comparison:
    """``record`` against ``outcome``, which is of the same trial.

    Of a failed trial's error only the type counts: messages quote addresses and paths.
    """
    there, now = record.columns, trial_row(outcome, 0, 0)
    elsewhere = _unequal(SURROUNDINGS, there, asdict(outcome.environment) | now)
    if (there["verdict"] == Verdict.FAILED) != (now["verdict"] == Verdict.FAILED):
        bits = [*_unequal(("verdict", "error"), there, now)]  # the rest is null in one of them
    else:
        bits = [*_unequal(_comparable(there, now), there, now), *_first_step(record, outcome)]
    return Comparison(record, tuple(elsewhere), tuple(bits))


def _comparable(there: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of `SHOWN_COLUMNS` that mean today what they meant when the trial was recorded.

    Before there was a column ``causes``, the flags said which sources move the layer alone.
    """
    sets = {"causes", "unexplained"}
    said = any(there[name] is not None for name in sets)
    if said or all(now[name] is None for name in sets):
        return SHOWN_COLUMNS
    other = {*sets, *CAUSE_FLAGS} - {"despite_none"}
    return tuple(name for name in SHOWN_COLUMNS if name not in other)


def _first_step(record: RecordedTrial, outcome: Outcome) -> Iterator[Difference]:
    """What differs on the first step that differs; later ones follow from it.

    Before there was a column ``score``, it was asked for at the end alone.
    """
    if not record.steps:
        return
    was_scored = any(step["score"] is not None for step in record.steps)
    columns = tuple(name for name in STEP if was_scored or name != "score")
    now = list(step_rows(outcome, 0))
    if len(record.steps) != len(now):
        yield Difference("rows of step", len(record.steps), len(now))
    for there, here in zip(record.steps, now, strict=False):
        unequal = list(_unequal(columns, there, here))
        if unequal:
            name = f"step {here['step']}: "
            yield from (Difference(name + d.column, d.recorded, d.now) for d in unequal)
            return


def _unequal(
    columns: tuple[str, ...], there: Mapping[str, Any], here: Mapping[str, Any]
) -> Iterator[Difference]:
    for column in columns:
        recorded, now = there.get(column), here[column]
        if column == "error" and None not in (recorded, now):
            same = str(recorded).partition(":")[0] == now.partition(":")[0]
        else:
            same = recorded == now
        if not same:
            flag = column in _FLAGS and recorded in (0, 1)  # for which SQLite has numbers
            yield Difference(column, bool(recorded) if flag else recorded, now)


_FLAGS = {"moved", "diverged", "sideways", "frozen", *CAUSE_FLAGS}
