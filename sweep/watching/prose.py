"""What a watch found, in words."""

from __future__ import annotations

from sweep.watching.findings import UNKNOWN, Findings, Leak, Record
from sweep.watching.remedy import remedy

_LISTED = 20
"""Parameters that a message lists; a model may have thousands."""

_ROWS_LISTED = 5


def summary(findings: Findings, *, watched: int) -> str:
    """What was found: how many of the ``watched`` parameters leaked, and a line for each."""
    records = list(findings.records.values())
    leaking = {name for _, name in findings.leaking()}
    steps = sum(findings.steps)
    if not steps:
        return f"No step was taken; {watched} parameters were watched."
    if not any(record.still.steps for record in records):
        return (
            f"A gradient reached all {watched} parameters before each of {_count(steps, 'step')}."
        )
    if not leaking:
        quiet = len({name for (_, name), r in findings.records.items() if r.still.steps})
        return (
            f"No leak: {_count(quiet, 'parameter')} kept still on steps without a gradient "
            f"({watched} watched, {_count(steps, 'step')})."
        )
    head = f"{len(leaking)} of {watched} parameters moved when they should have kept still"
    return "\n".join([f"{head} ({_count(steps, 'step')}):", *_lines(findings)])


def complaint(findings: Findings) -> str:
    """The message of a LeakError: each leaking parameter, what moved it, and the remedy."""
    leaking = list(dict.fromkeys(name for _, name in findings.leaking()))
    head = f"step() moved {_count(len(leaking), 'parameter')} that should have kept still:"
    return "\n".join([head, *_lines(findings)])


def _lines(findings: Findings) -> list[str]:
    """A line for each leaking parameter, those of one remedy under it."""
    by_remedy: dict[str, list[str]] = {}
    leaking = [findings.records[key] for key in findings.leaking()]
    for record in leaking[:_LISTED]:
        by_remedy.setdefault(remedy(_told(record)), []).append(f"  {_line(record)}")
    lines = [line for advice, named in by_remedy.items() for line in (*named, f"    -> {advice}")]
    if len(leaking) > _LISTED:
        lines.append(f"  and {len(leaking) - _LISTED} more")
    return lines


def _line(record: Record) -> str:
    first = record.leaks[0]
    largest = "NaN" if record.still.became_nan else f"{record.still.largest:.3g}"
    cause = str(record.explanation or UNKNOWN)
    return (
        f"{first.parameter}{_rows(first)}: {record.still.moved} of "
        f"{_count(record.quiet_steps, 'step')}, first at step {first.step}, by up to "
        f"{largest}, grad {first.grad}; cause: {cause}"
    )


def _told(record: Record) -> Leak:
    """The leak that tells most: the one that was explained, or else the first."""
    explained = [leak for leak in record.leaks if leak.explanation is record.explanation]
    return (explained or record.leaks)[0]


def _rows(leak: Leak) -> str:
    if leak.rows is None:
        return ""
    listed = ", ".join(map(str, leak.rows[:_ROWS_LISTED]))
    more = len(leak.rows) - _ROWS_LISTED
    return f" [rows {listed}{f' and {more} more' if more > 0 else ''}]"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
