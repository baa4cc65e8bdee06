"""Holds what a tool said against what is true."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum

from comparison.cases import Case
from comparison.tools import TOOLS, Answer
from comparison.training import Truth, truth


class Word(StrEnum):
    """How a tool did."""

    CAUGHT = "caught"
    TOLD = "told"  # without calling it a fault
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
    """

    case: Case
    truth: Truth
    verdicts: dict[str, Verdict]


def row(case: Case) -> Row:
    """Asks every tool about the case. Raises ValueError if the case is not as it says."""
    fact = truth(case.build())
    if bool(fact.faults) != bool(case.causes):
        raise ValueError(f"{case.name}: said to go wrong by {set(case.causes)}, saw {fact.faults}")
    return Row(case, fact, {tool.name: judge(case, fact, tool.ask(case, fact)) for tool in TOOLS})


def judge(case: Case, fact: Truth, answer: Answer) -> Verdict:
    """The verdict; a tool that finds fault with anything that is right raises a false alarm."""
    if answer.refused:
        return Verdict(Word.CANNOT_RUN, answer)
    if not all(fact.confirms(finding) for finding in answer.found):
        return Verdict(Word.FALSE_ALARM, answer)
    if answer.found:
        return _named(Word.CAUGHT, case, answer, answer.named)
    told = [causes for name, causes in answer.told.items() if fact.confirms((None, name))]
    if told:
        return _named(Word.TOLD, case, answer, frozenset().union(*told))
    return Verdict(Word.MISSED if fact.faults else Word.QUIET, answer)


def _named(word: Word, case: Case, answer: Answer, named: Set[str]) -> Verdict:
    return Verdict(
        word,
        answer,
        named=tuple(sorted(named & case.causes)),
        mistaken=tuple(sorted(named - case.causes)),
        all_named=case.causes <= named,
    )
