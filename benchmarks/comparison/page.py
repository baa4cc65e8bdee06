"""The comparison as Markdown, and its place in docs/compare.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version

from comparison.judge import Row, Verdict, Word
from comparison.tools import TOOLS, Tool

BEGIN, END = "<!-- made by benchmarks/compare.py -->", "<!-- /made -->"

_BOLD = (Word.MISSED, Word.FALSE_ALARM)
_NAMING = (Word.CAUGHT, Word.TOLD)


def tables(groups: Mapping[str, Sequence[Row]]) -> str:
    """The score, then a table for each group of rows, then why tools could not run."""
    notes = _Notes()
    parts = [_versions(), _score(groups)]
    for title, rows in groups.items():
        parts += [f"### {title}", _details(rows, notes)]
    return "\n\n".join([*parts, *notes.listed()])


def replaced(page: str, made: str) -> str:
    """``page`` with ``made`` between its markers. Raises ValueError if it has no markers."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"docs/compare.md needs the lines {BEGIN!r} and {END!r}, in this order.")
    return f"{head}{BEGIN}\n\n{made}\n\n{END}{tail}"


class _Notes:
    """Reasons, each listed once under a number."""

    def __init__(self) -> None:
        self._reasons: list[str] = []

    def mark(self, reason: str) -> str:
        if reason not in self._reasons:
            self._reasons.append(reason)
        return f"[{self._reasons.index(reason) + 1}]"

    def listed(self) -> list[str]:
        if not self._reasons:
            return []
        lines = [f"{number}. `{reason}`" for number, reason in enumerate(self._reasons, start=1)]
        return ["Why a tool cannot run, in its own words:", "\n".join(lines)]


def _versions() -> str:
    used = dict.fromkeys([*(tool.distribution for tool in TOOLS), "torch"])
    named = [f"{name} {version(name).partition('+')[0]}" for name in used if name != "leaksweep"]
    return f"Run with {', '.join(named)}."


def _score(groups: Mapping[str, Sequence[Row]]) -> str:
    header = ["", *(f"{title.lower()} ({len(rows)})" for title, rows in groups.items())]
    lines = []
    for tool in TOOLS:
        columns = ([row.verdicts[tool.name] for row in rows] for rows in groups.values())
        lines.append([tool.name, *map(_tally, columns)])
    return _markdown(header, lines)


def _tally(verdicts: Sequence[Verdict]) -> str:
    words = [verdict.word for verdict in verdicts]
    counts = []
    for word in Word:
        if word in words:
            number = words.count(word)
            text = f"{number} {word}{'s' if word is Word.FALSE_ALARM and number > 1 else ''}"
            if word in _NAMING:
                exact = sum(each.word is word and _tells_all(each) for each in verdicts)
                text += f" ({exact} with the cause)"
            counts.append(text)
    return ", ".join(counts)


def _tells_all(verdict: Verdict) -> bool:
    return verdict.all_named and not verdict.mistaken


def _details(rows: Iterable[Row], notes: _Notes) -> str:
    header = ["loop", "cause", *(tool.name for tool in TOOLS)]
    return _markdown(header, [_line(row, notes) for row in rows])


def _line(row: Row, notes: _Notes) -> list[str]:
    causes = ", ".join(sorted(row.case.causes)) or "none"
    return [row.case.name, causes, *(_cell(row, tool, notes) for tool in TOOLS)]


def _cell(row: Row, tool: Tool, notes: _Notes) -> str:
    verdict = row.verdicts[tool.name]
    text = f"**{verdict.word}**" if verdict.word in _BOLD else str(verdict.word)
    if verdict.word is Word.CANNOT_RUN:
        return f"{text} {notes.mark(_short(verdict.answer.refused))}"
    if tool.takes_options and row.case.options:
        text += f" with `{_option(row)}`"
    return f"{text}{_said(verdict)}" if verdict.word in _NAMING else text


def _said(verdict: Verdict) -> str:
    if not verdict.named:
        wrong = f"; names {', '.join(verdict.mistaken)}" if verdict.mistaken else ""
        return wrong or "; no cause"
    also = f", and wrongly {', '.join(verdict.mistaken)}" if verdict.mistaken else ""
    only = "" if verdict.all_named else "only "
    return f"; names {only}{', '.join(verdict.named)}{also}"


def _option(row: Row) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in row.case.options.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_value(name)}: mask" for name in value) + "}"
    text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    return text.replace("'", '"')


def _short(reason: str) -> str:
    """The reason without the names that differ from case to case."""
    return re.sub(r"\[.*", "[...]", reason)


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *lines))
