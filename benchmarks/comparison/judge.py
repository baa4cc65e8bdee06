"""Holds what a tool said against what is true."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from comparison.cases import Case
from comparison.tools import TOOLS, Answer, Tool, ask_watch
from comparison.training import Truth, truth


class Word(StrEnum):
    """How a tool did."""

    CAUGHT = "caught"
    QUIET = "quiet"  # rightly
    MISSED = "missed"
    FALSE_ALARM = "false alarm"
    CANNOT_RUN = "cannot run"


@dataclass(frozen=True)
class Verdict:
    """How one tool did in one case.

    Attributes:
        named: which of the causes it named, in order.
        mistaken: the causes it named that are none.
        all_named: whether it named every cause.
    """

    word: Word
    answer: Answer
    named: tuple[str, ...] = ()
    mistaken: tuple[str, ...] = ()
    all_named: bool = False


@dataclass(frozen=True)
class Row:
    """One case, judged.

    Attributes:
        verdicts: by the tool's name.
        without_options: how `watch` did without the options of the case.
    """

    case: Case
    truth: Truth
    verdicts: dict[str, Verdict]
    without_options: Verdict


def row(case: Case) -> Row:
    """Asks every tool about the case. Raises ValueError if the case is not as it says."""
    fact = truth(case.build())
    if bool(fact.faults) != bool(case.causes):
        raise ValueError(f"{case.name}: said to go wrong by {set(case.causes)}, saw {fact.faults}")
    verdicts = {tool.name: _verdict(tool, case, fact) for tool in TOOLS}
    return Row(case, fact, verdicts, judge(case, fact, ask_watch(case, fact)))


def _verdict(tool: Tool, case: Case, fact: Truth) -> Verdict:
    return judge(case, fact, tool.ask(case, fact))


def judge(case: Case, fact: Truth, answer: Answer) -> Verdict:
    """The verdict; a tool that finds fault with anything that is right raises a false alarm."""
    if answer.refused:
        return Verdict(Word.CANNOT_RUN, answer)
    if not all(fact.confirms(finding) for finding in answer.found):
        return Verdict(Word.FALSE_ALARM, answer)
    if not answer.found:
        return Verdict(Word.MISSED if fact.faults else Word.QUIET, answer)
    return Verdict(
        Word.CAUGHT,
        answer,
        named=tuple(sorted(answer.named & case.causes)),
        mistaken=tuple(sorted(answer.named - case.causes)),
        all_named=case.causes <= answer.named,
    )
