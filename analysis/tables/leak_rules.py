"""For each optimizer, the smallest rule over the axes that decides which trials leak.

Exact on the recorded trials that leak or hold: first the fewest axes on which no leaking
trial agrees with a holding one, then over them the fewest terms, and of those the shortest in
words. The seed is no axis of a rule. Where trials that differ in their seed alone disagree,
no rule over the axes can be exact; then the majority of each setting is taken, which no rule
can beat, and the trials that it is wrong about are counted.

A number with many values, as a search has, is cut where a decision tree of scikit-learn cuts
it. Where that gives no exact rule of at most `MOST_TERMS` terms no short one is found: then a
smaller tree's answer is put in words, with how often it is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from itertools import combinations, pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.conditions import NULL, Between, Literal, OneOf, Rule
from analysis.minimise import Cover, Lattice, Masks, Point, cover
from analysis.schema import NUMERIC_AXES, counts, in_order
from analysis.tables.spelled import assigned, first_few

RULE_AXES = ("zero_grad", "momentum", "weight_decay", "freeze", "schedule", "lr")
"""The axes that a rule may use, in the order it names them; the optimizer is given."""
MOST_TERMS = 6  # what anybody would read; the presets' longest rules have 5
MOST_STEPS = 8  # of a number whose every value may be a threshold

_Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FoundRule:
    """The rule of one optimizer, and how far it can be relied on.

    Attributes:
        rule: the condition under which its trials leak.
        short: it is exact, or wrong only where seeds disagree, in at most `MOST_TERMS` terms.
        minimal: no rule over as few axes is shorter; False where that was not proved.
        trials: the trials it was made from, those that leak or hold.
        exceptions: the trials it is wrong about.
        undecided: the settings whose seeds disagree, in words.
    """

    rule: Rule
    short: bool
    minimal: bool
    trials: int
    exceptions: int
    undecided: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether it is right about every trial."""
        return self.exceptions == 0

    def __str__(self) -> str:
        """The rule as a sentence; where there is no short one, how good it is before it."""
        if self.short:
            return str(self.rule)
        terms = f"{len(self.rule.terms)} term{'s' if len(self.rule.terms) != 1 else ''}"
        right = f"{self.trials - self.exceptions:,} of {self.trials:,} trials"
        return f"no short rule found: right about {right} by the best found of {terms}: {self.rule}"


def rules(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each sweep and optimizer that has a trial that leaks or holds.

    Columns: ``sweep``, ``optimizer``, ``rule`` (a sentence), ``axes`` (those it looks at,
    null for none), ``exact``, ``trials`` (leaks + holds), ``exceptions`` (trials that it is
    wrong about), ``minimal`` (proved to be the smallest), ``undecided`` (settings whose seeds
    disagree, null for none).
    """
    found = find_rules(frame)
    rows = [
        (
            *key,
            str(one),
            ", ".join(one.rule.axes) or None,
            one.exact,
            one.trials,
            one.exceptions,
            one.minimal,
            first_few(one.undecided),
        )
        for key, one in found.items()
    ]
    kinds = {
        **dict.fromkeys(("sweep", "optimizer", "rule", "axes"), "string"),
        "exact": "bool",
        **dict.fromkeys(("trials", "exceptions"), "int64"),
        "minimal": "bool",
        "undecided": "string",
    }
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def find_rules(frame: pd.DataFrame) -> dict[tuple[str, str], FoundRule]:
    """The rule of each (sweep, optimizer) that has a trial that leaks or holds."""
    decided = frame[frame["verdict"].isin(["leaks", "holds"])]
    keys = ["sweep", "optimizer", *RULE_AXES]
    trials = counts(decided)
    marked = decided[keys].assign(
        leaks=trials.where(decided["verdict"] == "leaks", 0),
        holds=trials.where(decided["verdict"] == "holds", 0),
    )
    folded = marked.groupby(keys, observed=True, dropna=False)[["leaks", "holds"]].sum()
    groups = folded.reset_index().groupby(["sweep", "optimizer"], observed=True)
    return {cast("tuple[str, str]", key): find_rule(group) for key, group in groups}


def find_rule(settings: pd.DataFrame) -> FoundRule:
    """The rule of one optimizer's settings: a row for each, `RULE_AXES`, ``leaks``, ``holds``."""
    leaks, holds = (settings[name].to_numpy(np.int64) for name in ("leaks", "holds"))
    mostly = leaks >= holds
    torn = settings[(leaks > 0) & (holds > 0)]
    undecided = tuple(map(_undecided, torn.to_dict("records")))
    least = int(np.minimum(leaks, holds).sum())

    def told(rule: Rule, minimal: bool) -> FoundRule:
        says = rule.evaluate(settings).to_numpy(bool)
        wrong = int(np.where(says, holds, leaks).sum())
        short = wrong == least and len(rule.terms) <= MOST_TERMS
        return FoundRule(
            rule, short, minimal and short, int((leaks + holds).sum()), wrong, undecided
        )

    axes = [_axis(settings[name]) for name in RULE_AXES]
    if all(axis.size <= MOST_STEPS for axis in axes if isinstance(axis, _Numbers)):
        found = told(*_smallest(settings, axes, mostly))
        if found.short:
            return found
    for leaves in (4 * MOST_TERMS, 2 * MOST_TERMS, MOST_TERMS + 1):
        says, cuts = _tree(settings, mostly, leaves)
        found = told(_smallest(settings, [axis.cut(cuts) for axis in axes], says)[0], False)
        if len(found.rule.terms) <= MOST_TERMS:
            break
    return found


def _smallest(settings: pd.DataFrame, axes: Sequence[_Axis], leaks: _Labels) -> tuple[Rule, bool]:
    """The smallest rule that tells which settings leak, and whether it is proved to be."""
    columns = [axis.places(settings[axis.name]).tolist() for axis in axes]
    axes, points = _merged(axes, dict(zip(zip(*columns, strict=True), leaks.tolist(), strict=True)))
    covered = [(subset, *_covered(points, axes, subset)) for subset in _deciding(points, axes)]
    subset, lattice, best = min(covered, key=lambda each: each[2].price(each[1]))
    terms = tuple(_term(box, [axes[place] for place in subset], lattice) for box in best.boxes)
    return Rule(terms), all(found.minimal for _, _, found in covered)


def _merged(
    axes: Sequence[_Axis], points: Mapping[Point, bool]
) -> tuple[list[_Axis], Mapping[Point, bool]]:
    """The axes with steps that do the same wherever they were run put together, and the points."""
    found = list(axes)
    for place, axis in enumerate(axes):
        does: list[set[tuple[object, ...]]] = [set() for _ in range(axis.size)]
        for point, label in points.items():
            does[point[place]].add((point[:place], point[place + 1 :], label))
        found[place], new = axis.merged([frozenset(each) for each in does])
        points = {
            (*point[:place], new[point[place]], *point[place + 1 :]): label
            for point, label in points.items()
        }
    return found, points


def _deciding(points: Mapping[Point, bool], axes: Sequence[_Axis]) -> list[tuple[int, ...]]:
    """The smallest sets of axes, all of one size, that tell leaking from holding points."""
    varying = [place for place, axis in enumerate(axes) if axis.size > 1]
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
) -> tuple[Lattice, Cover]:
    seen = _projected(points, subset) or {}
    chosen = [axes[place] for place in subset]
    lattice = Lattice(
        words=tuple(axis.words for axis in chosen),
        ordered=tuple(isinstance(axis, _Numbers) for axis in chosen),
    )
    leaks = [point for point, label in seen.items() if label]
    holds = [point for point, label in seen.items() if not label]
    return lattice, cover(leaks, holds, lattice)


def _term(box: Masks, axes: Sequence[_Axis], lattice: Lattice) -> tuple[Literal, ...]:
    """The literals of a box: one for each axis that it narrows."""
    triples = zip(box, axes, lattice.whole, strict=True)
    return tuple(axis.literal(mask) for mask, axis, full in triples if mask != full)


@dataclass(frozen=True, slots=True)
class _Words:
    """An axis of words: for each step the words that a rule does not tell apart."""

    name: str
    steps: tuple[tuple[str, ...], ...]

    @property
    def size(self) -> int:
        return len(self.steps)

    @property
    def words(self) -> tuple[int, ...]:
        return tuple(map(len, self.steps))

    def places(self, column: pd.Series) -> npt.NDArray[np.int64]:
        place = {word: step for step, words in enumerate(self.steps) for word in words}
        return np.array([place[word] for word in column.astype(str)], np.int64)

    def merged(self, does: Sequence[frozenset[object]]) -> tuple[_Words, list[int]]:
        """The axis with steps that do the same as one, and where each step went."""
        kinds = list(dict.fromkeys(does))
        new = [kinds.index(each) for each in does]
        steps = [
            [w for s, n in zip(self.steps, new, strict=True) if n == k for w in s]
            for k in range(len(kinds))
        ]
        return _Words(self.name, tuple(map(tuple, steps))), new

    def cut(self, cuts: Mapping[str, Sequence[float]]) -> _Words:
        return self

    def literal(self, mask: int) -> OneOf:
        sides: tuple[list[str], list[str]] = ([], [])
        for step, words in enumerate(self.steps):
            sides[not mask >> step & 1].extend(words)
        inside, others = (tuple(in_order(self.name, side)) for side in sides)
        return OneOf(self.name, inside, others)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """An axis of numbers: for each step the number that it reaches up to; null is the lowest."""

    name: str
    ends: tuple[float, ...]

    @property
    def size(self) -> int:
        return len(self.ends)

    @property
    def words(self) -> tuple[int, ...]:
        return (1,) * self.size

    def places(self, column: pd.Series) -> npt.NDArray[np.int64]:
        return np.searchsorted(self.ends, column.fillna(NULL).to_numpy(float)).astype(np.int64)

    def merged(self, does: Sequence[frozenset[object]]) -> tuple[_Numbers, list[int]]:
        """The axis with neighbours that do the same as one step, and where each step went."""
        is_last = [each != after for each, after in zip(does, [*does[1:], None], strict=True)]
        new = np.cumsum([0, *is_last[:-1]]).tolist()
        ends = tuple(end for end, last in zip(self.ends, is_last, strict=True) if last)
        return _Numbers(self.name, ends), new

    def cut(self, cuts: Mapping[str, Sequence[float]]) -> _Numbers:
        if self.size <= MOST_STEPS:
            return self
        return _Numbers(self.name, (*cuts[self.name], np.inf))

    def literal(self, mask: int) -> Between:
        first, last = (mask & -mask).bit_length() - 1, mask.bit_length() - 1
        above = self.ends[first - 1] if first else None
        return Between(self.name, above, self.ends[last] if last < self.size - 1 else None)


_Axis = _Words | _Numbers


def _axis(column: pd.Series) -> _Axis:
    """The axis with a step for each value that occurs."""
    name = str(column.name)
    if name in NUMERIC_AXES:
        values = sorted(column.fillna(NULL).unique().tolist())
        ends = [_end(low, high) for low, high in pairwise(values)]
        return _Numbers(name, (*ends, values[-1]))
    return _Words(name, tuple((word,) for word in in_order(name, column.astype(str).unique())))


def _tree(
    settings: pd.DataFrame, leaks: _Labels, leaves: int
) -> tuple[_Labels, dict[str, list[float]]]:
    """What a decision tree says of each setting, and where it cuts each number.

    A leaf has at least a hundredth of the settings, so that none is there for a single one. A
    cut is the shortest number between the two values that it parts.
    """
    from sklearn.tree import DecisionTreeClassifier  # type: ignore[import-untyped]

    numbers = settings[list(NUMERIC_AXES)].fillna(-1.0)  # no axis has negative numbers
    words = [axis for axis in RULE_AXES if axis not in NUMERIC_AXES]
    marks = pd.get_dummies(settings[words].astype(str), dtype=float)
    given = pd.concat([numbers, marks], axis="columns").to_numpy(float)
    tree = DecisionTreeClassifier(
        max_leaf_nodes=leaves,
        min_samples_leaf=max(1, len(settings) // 100),
        random_state=0,
    ).fit(given, leaks)
    cuts = {
        axis: sorted(
            _shortest(*_beside(given[:, place], cut))
            for cut in tree.tree_.threshold[tree.tree_.feature == place]
        )
        for place, axis in enumerate(NUMERIC_AXES)
    }
    return tree.predict(given).astype(bool), cuts


def _beside(values: npt.NDArray[np.float64], cut: float) -> tuple[float, float]:
    """The values just below and just above a cut."""
    return float(values[values <= cut].max()), float(values[values > cut].min())


def _end(low: float, high: float) -> float:
    """Where the step of the value ``low`` ends: there, unless words would round it."""
    return low if float(f"{low:.12g}") == low else _shortest(low, high)


def _shortest(low: float, high: float) -> float:
    """The number of the fewest digits that is at least ``low`` and below ``high``.

    >>> _shortest(0.0123, 0.0201), _shortest(-1.0, 0.5)
    (0.02, -inf)
    """
    if low < 0:
        return NULL
    for digits in range(1, 18):
        up = Context(prec=digits, rounding=ROUND_CEILING)
        value = float(up.create_decimal_from_float(low))
        if low <= value < high:
            return value
    return low


def _undecided(setting: Mapping[Any, Any]) -> str:
    """A setting whose seeds disagree, with its counts."""
    described = assigned((axis, setting[axis]) for axis in RULE_AXES)
    return f"{setting['leaks']} of {setting['leaks'] + setting['holds']} leak at {described}"
