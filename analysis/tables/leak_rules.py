"""For each optimizer, the smallest rule over the axes that decides which trials leak.

Exact on the recorded trials that leak or hold: first the fewest axes on which no leaking
trial agrees with a holding one, then over them the fewest terms. The seed is no axis of a
rule. Where trials that differ in their seed alone disagree, no rule over the axes can be
exact; then the majority of each setting is taken, which no rule can beat, and the trials
that it is wrong about are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from analysis.conditions import Between, Literal, OneOf, Rule, Value
from analysis.minimise import Box, Cover, Point, Space, cover
from analysis.schema import counts, in_order

RULE_AXES = ("zero_grad", "momentum", "weight_decay", "freeze", "schedule", "lr")
"""The axes that a rule may use, in the order it names them; the optimizer is given."""
NUMBERS = frozenset({"momentum", "weight_decay", "lr"})
NEEDS = ("sweep", "optimizer", *RULE_AXES, "verdict")
MOST_UNDECIDED = 3  # settings spelled out in a cell before the rest are only counted


@dataclass(frozen=True, slots=True)
class Setting:
    """How often one combination of `RULE_AXES` leaked and held, seeds folded."""

    values: tuple[Value, ...]
    leaks: int
    holds: int

    @property
    def mostly_leaks(self) -> bool:
        """Whether at least half of its trials leak."""
        return self.leaks >= self.holds

    @property
    def exceptions(self) -> int:
        """The trials in the minority."""
        return min(self.leaks, self.holds)


@dataclass(frozen=True, slots=True)
class Finding:
    """The rule of one optimizer, and how far it can be relied on.

    Attributes:
        rule: the condition under which its trials leak.
        exact: it is right about every trial.
        minimal: no rule over the same axes has fewer terms; False where the search for one
            was cut short.
        trials: the trials it was made from, those that leak or hold.
        exceptions: the trials it is wrong about.
        undecided: the settings whose seeds disagree.
    """

    rule: Rule
    exact: bool
    minimal: bool
    trials: int
    exceptions: int
    undecided: tuple[Setting, ...]


def rules(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each sweep and optimizer that has a trial that leaks or holds.

    Columns: ``sweep``, ``optimizer``, ``rule`` (a sentence), ``axes`` (those it looks at,
    null for none), ``exact``, ``trials`` (leaks + holds), ``exceptions`` (trials that it is
    wrong about), ``minimal``, ``undecided`` (settings whose seeds disagree, null for none).
    """
    found = findings(frame)
    rows = pd.DataFrame(
        {
            "sweep": [sweep for sweep, _ in found],
            "optimizer": [optimizer for _, optimizer in found],
            "rule": [str(finding.rule) for finding in found.values()],
            "axes": [", ".join(finding.rule.axes) or None for finding in found.values()],
            "exact": [finding.exact for finding in found.values()],
            "trials": [finding.trials for finding in found.values()],
            "exceptions": [finding.exceptions for finding in found.values()],
            "minimal": [finding.minimal for finding in found.values()],
            "undecided": [_undecided_text(finding.undecided) for finding in found.values()],
        }
    )
    words = ("sweep", "optimizer", "rule", "axes", "undecided")
    kinds = dict.fromkeys(words, "string") | dict.fromkeys(("exact", "minimal"), "bool")
    return rows.astype(kinds | dict.fromkeys(("trials", "exceptions"), "int64"))


def findings(frame: pd.DataFrame) -> dict[tuple[str, str], Finding]:
    """The finding of each (sweep, optimizer) that has a trial that leaks or holds."""
    decided = frame[frame["verdict"].isin(["leaks", "holds"])]
    keys = ["sweep", "optimizer", *RULE_AXES]
    trials = counts(decided)
    marked = decided[keys].assign(
        leaks=trials.where(decided["verdict"] == "leaks", 0),
        holds=trials.where(decided["verdict"] == "holds", 0),
    )
    folded = marked.groupby(keys, observed=True, dropna=False)[["leaks", "holds"]].sum()
    settings: dict[tuple[str, str], list[Setting]] = {}
    for (sweep, optimizer, *values), leaks, holds in zip(
        folded.index, folded["leaks"], folded["holds"], strict=True
    ):
        plain = tuple(None if pd.isna(value) else value for value in values)
        settings.setdefault((sweep, optimizer), []).append(Setting(plain, leaks, holds))
    return {key: find(group) for key, group in settings.items()}


def find(settings: Sequence[Setting]) -> Finding:
    """The smallest rule for the settings of one optimizer; there must be at least one."""
    axes = [_Axis.of(name, {s.values[i] for s in settings}) for i, name in enumerate(RULE_AXES)]
    points = {
        tuple(axis.values.index(v) for axis, v in zip(axes, s.values, strict=True)): s.mostly_leaks
        for s in settings
    }
    found = [_covered(points, axes, subset) for subset in _deciding_subsets(points, axes)]
    subset, space, best = min(found, key=lambda candidate: candidate[2].cost(candidate[1]))
    terms = tuple(_term(box, [axes[place] for place in subset], space) for box in best.boxes)
    exceptions = sum(setting.exceptions for setting in settings)
    return Finding(
        rule=Rule(terms),
        exact=exceptions == 0,
        minimal=best.minimal,
        trials=sum(setting.leaks + setting.holds for setting in settings),
        exceptions=exceptions,
        undecided=tuple(setting for setting in settings if setting.exceptions),
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """The values seen on an axis in their order, and whether that order means something."""

    name: str
    values: tuple[Value, ...]
    ordered: bool

    @classmethod
    def of(cls, name: str, seen: Iterable[Value]) -> _Axis:
        known = [value for value in seen if value is not None]
        null = [None] if len(known) < len(set(seen)) else []
        if name in NUMBERS:
            numbers = sorted(float(value) for value in known)
            # Null is neither above nor below a threshold, so it makes the axis one of words.
            return cls(name, (*numbers, *null), ordered=not null)
        return cls(name, (*in_order(name, map(str, known)), *null), ordered=False)


def _deciding_subsets(points: Mapping[Point, bool], axes: Sequence[_Axis]) -> list[tuple[int, ...]]:
    """The smallest sets of axes, all of one size, that tell leaking from holding points."""
    varying = [place for place, axis in enumerate(axes) if len(axis.values) > 1]
    subsets = (list(combinations(varying, size)) for size in range(len(varying) + 1))
    deciding = ([s for s in some if _projected(points, s) is not None] for some in subsets)
    return next(found for found in deciding if found)  # all of the axes always decide


def _projected(points: Mapping[Point, bool], subset: tuple[int, ...]) -> dict[Point, bool] | None:
    """The points seen along ``subset`` alone; None where a leaking meets a holding one."""
    seen: dict[Point, bool] = {}
    for point, leaks in points.items():
        if seen.setdefault(tuple(point[place] for place in subset), leaks) != leaks:
            return None
    return seen


def _covered(
    points: Mapping[Point, bool], axes: Sequence[_Axis], subset: tuple[int, ...]
) -> tuple[tuple[int, ...], Space, Cover]:
    seen = _projected(points, subset) or {}
    space = Space(
        sizes=tuple(len(axes[place].values) for place in subset),
        ordered=tuple(axes[place].ordered for place in subset),
    )
    leaks = [point for point, leaks in seen.items() if leaks]
    holds = [point for point, leaks in seen.items() if not leaks]
    return subset, space, cover(leaks, holds, space)


def _term(box: Box, axes: Sequence[_Axis], space: Space) -> tuple[Literal, ...]:
    """The literals of a box: one for each axis that it narrows."""
    triples = zip(box, axes, space.whole, strict=True)
    return tuple(_literal(mask, axis) for mask, axis, full in triples if mask != full)


def _literal(mask: int, axis: _Axis) -> Literal:
    inside = [value for place, value in enumerate(axis.values) if mask >> place & 1]
    if not axis.ordered:
        others = [value for value in axis.values if value not in inside]
        return OneOf(axis.name, tuple(inside), tuple(others))
    numbers = [float(value) for value in axis.values if value is not None]
    low, high = numbers.index(float(inside[0] or 0)), numbers.index(float(inside[-1] or 0))
    return Between(
        axis.name,
        above=numbers[low - 1] if low else None,
        upto=numbers[high] if high < len(numbers) - 1 else None,
    )


def _undecided_text(settings: Sequence[Setting]) -> str | None:
    """The settings whose seeds disagree with their counts, the first few spelled out."""
    if not settings:
        return None
    shown = [
        f"{setting.leaks} of {setting.leaks + setting.holds} leak at {_described(setting)}"
        for setting in settings[:MOST_UNDECIDED]
    ]
    more = len(settings) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _described(setting: Setting) -> str:
    pairs = zip(RULE_AXES, setting.values, strict=True)
    return " ".join(
        f"{axis}={value:.12g}" if isinstance(value, float) else f"{axis}={value}"
        for axis, value in pairs
        if value is not None
    )
