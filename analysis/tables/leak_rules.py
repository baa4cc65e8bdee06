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
from itertools import combinations
from operator import itemgetter, ne
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.conditions import NULL, Between, Literal, OneOf, Rule, fewest_digits
from analysis.formats import assigned, first_few
from analysis.minimise import Lattice, Point, cover
from analysis.schema import NUMERIC_AXES, in_order, tallied

RULE_AXES = ("zero_grad", "momentum", "weight_decay", "freeze", "schedule", "lr")
"""The axes that a rule may use, in the order it names them; the optimizer is given."""
MOST_TERMS = 6  # what anybody would read; the presets' longest rules have 5
MOST_STEPS = 8  # of a number whose every value may be a threshold

_KINDS = {
    **dict.fromkeys(("sweep", "optimizer", "rule", "axes"), "string"),
    "exact": "bool",
    **dict.fromkeys(("trials", "exceptions"), "int64"),
    "minimal": "bool",
    "undecided": "string",
}
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
    rows = [
        {
            **dict(zip(("sweep", "optimizer"), key, strict=True)),
            "rule": str(found),
            "axes": ", ".join(found.rule.axes) or None,
            "exact": found.exact,
            "trials": found.trials,
            "exceptions": found.exceptions,
            "minimal": found.minimal,
            "undecided": first_few(found.undecided),
        }
        for key, found in find_rules(frame).items()
    ]
    return pd.DataFrame(rows, columns=list(_KINDS)).astype(_KINDS)


def find_rules(frame: pd.DataFrame) -> dict[tuple[str, str], FoundRule]:
    """The rule of each (sweep, optimizer) that has a trial that leaks or holds."""
    decided = frame[frame["verdict"].isin(["leaks", "holds"])]
    settings = tallied(decided, ["sweep", "optimizer", *RULE_AXES]).reset_index()
    groups = settings.groupby(["sweep", "optimizer"], observed=True)
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
    long = [axis.name for axis in axes if axis.ordered and len(axis.steps) > MOST_STEPS]
    if not long:
        found = told(*_smallest(settings, axes, mostly))
        if found.short:
            return found
    for leaves in (4 * MOST_TERMS, 2 * MOST_TERMS, MOST_TERMS + 1):
        says, cuts = _tree(settings, mostly, leaves)
        cut = [cuts[axis.name] if axis.name in long else axis for axis in axes]
        found = told(_smallest(settings, cut, says)[0], False)
        if len(found.rule.terms) <= MOST_TERMS:
            break
    return found


def _smallest(settings: pd.DataFrame, axes: Sequence[_Axis], leaks: _Labels) -> tuple[Rule, bool]:
    """The smallest rule that tells which settings leak, and whether it is proved to be."""
    columns = [axis.places(settings[axis.name]).tolist() for axis in axes]
    axes, points = _merged(axes, dict(zip(zip(*columns, strict=True), leaks.tolist(), strict=True)))
    covered = []
    for subset, seen in _deciding(points, axes):
        chosen = [axes[place] for place in subset]
        words = tuple(tuple(map(len, axis.steps)) for axis in chosen)
        lattice = Lattice(words, tuple(axis.ordered for axis in chosen))
        leaking, holding = (
            [p for p, does in seen.items() if does is side] for side in (True, False)
        )
        found = cover(leaking, holding, lattice)
        narrow = [zip(chosen, box, lattice.whole, strict=True) for box in found.boxes]
        terms = [tuple(a.literal(mask) for a, mask, full in z if mask != full) for z in narrow]
        covered.append((found.price(lattice), Rule(tuple(terms)), found.minimal))
    best = min(covered, key=itemgetter(0))
    return best[1], all(minimal for _, _, minimal in covered)


def _merged(
    axes: Sequence[_Axis], points: Mapping[Point, bool]
) -> tuple[list[_Axis], Mapping[Point, bool]]:
    """The axes with steps that do the same wherever they were run put together, and the points."""
    found = list(axes)
    for place, axis in enumerate(axes):
        does: list[set[tuple[object, ...]]] = [set() for _ in axis.steps]
        for point, label in points.items():
            does[point[place]].add((point[:place], point[place + 1 :], label))
        found[place], new = axis.merged([frozenset(each) for each in does])
        points = {
            (*point[:place], new[point[place]], *point[place + 1 :]): label
            for point, label in points.items()
        }
    return found, points


def _deciding(
    points: Mapping[Point, bool], axes: Sequence[_Axis]
) -> list[tuple[tuple[int, ...], dict[Point, bool]]]:
    """The smallest sets of axes, all of one size, that tell leaking from holding points.

    Each with the points as they are along these axes alone.
    """
    varying = [place for place, axis in enumerate(axes) if len(axis.steps) > 1]
    for size in range(len(varying)):
        tried = ((some, _projected(points, some)) for some in combinations(varying, size))
        if found := [(some, seen) for some, seen in tried if seen is not None]:
            return found
    return [(tuple(varying), _projected(points, varying) or {})]  # all of them always decide


def _projected(points: Mapping[Point, bool], subset: Sequence[int]) -> dict[Point, bool] | None:
    """The points seen along ``subset`` alone; None where a leaking meets a holding one."""
    seen: dict[Point, bool] = {}
    for point, leaks in points.items():
        if seen.setdefault(tuple(point[place] for place in subset), leaks) != leaks:
            return None
    return seen


@dataclass(frozen=True, slots=True)
class _Axis:
    """An axis, for each step with what a rule does not tell apart.

    Attributes:
        steps: words; or of numbers, of which null is the lowest, those that it reaches up to.
    """

    name: str
    steps: tuple[tuple[Any, ...], ...]

    @property
    def ordered(self) -> bool:
        """Whether it is one of numbers, and its steps are in their order."""
        return self.name in NUMERIC_AXES

    def places(self, column: pd.Series) -> npt.NDArray[np.int64]:
        """The step of each value."""
        if self.ordered:
            ends = [step[-1] for step in self.steps]
            return np.searchsorted(ends, column.fillna(NULL).to_numpy(float)).astype(np.int64)
        place = {word: step for step, words in enumerate(self.steps) for word in words}
        return column.astype(str).map(place).to_numpy(np.int64)

    def merged(self, does: Sequence[frozenset[object]]) -> tuple[_Axis, list[int]]:
        """The axis with steps that do the same as one, of numbers neighbours, and their places."""
        kinds = list(dict.fromkeys(does))
        new = [kinds.index(each) for each in does]
        if self.ordered:
            new = np.cumsum([False, *map(ne, does, does[1:])]).tolist()
        steps: list[tuple[Any, ...]] = [()] * (max(new) + 1)
        for step, place in zip(self.steps, new, strict=True):
            steps[place] += step
        return _Axis(self.name, tuple(steps)), new

    def literal(self, mask: int) -> Literal:
        """What says that a value is in one of the steps of ``mask``."""
        if self.ordered:
            first, last = (mask & -mask).bit_length() - 1, mask.bit_length() - 1
            above = self.steps[first - 1][-1] if first else None
            upto = self.steps[last][-1] if last < len(self.steps) - 1 else None
            return Between(self.name, above, upto)
        sides: tuple[list[str], list[str]] = ([], [])
        for place, words in enumerate(self.steps):
            sides[not mask >> place & 1].extend(words)
        inside, others = (tuple(in_order(self.name, side)) for side in sides)
        return OneOf(self.name, inside, others)


def _axis(column: pd.Series) -> _Axis:
    """The axis with a step for each value that occurs."""
    name = str(column.name)
    if name not in NUMERIC_AXES:
        return _Axis(name, tuple((word,) for word in in_order(name, column.astype(str).unique())))
    values = sorted(column.fillna(NULL).unique().tolist())
    return _of_ends(name, [*map(_end, values, values[1:]), values[-1]])


def _of_ends(name: str, ends: Sequence[float]) -> _Axis:
    return _Axis(name, tuple((end,) for end in ends))


def _tree(settings: pd.DataFrame, leaks: _Labels, leaves: int) -> tuple[_Labels, dict[str, _Axis]]:
    """What a decision tree says of each setting, and the axes of numbers as it cuts them.

    A leaf has at least a hundredth of the settings, so that none is there for a single one. A
    cut is the shortest number between the two values that it parts.
    """
    from sklearn.tree import DecisionTreeClassifier

    numbers = settings[list(NUMERIC_AXES)].fillna(-1.0)  # no axis has negative numbers
    words = [axis for axis in RULE_AXES if axis not in NUMERIC_AXES]
    marks = pd.get_dummies(settings[words].astype(str), dtype=float)
    given = pd.concat([numbers, marks], axis="columns").to_numpy(float)
    tree = DecisionTreeClassifier(
        max_leaf_nodes=leaves,
        min_samples_leaf=max(1, len(settings) // 100),
        random_state=0,
    ).fit(given, leaks)
    cuts = {}
    for place, axis in enumerate(NUMERIC_AXES):
        values = given[:, place]
        at = tree.tree_.threshold[tree.tree_.feature == place]
        ends = [
            fewest_digits(values[values <= cut].max(), values[values > cut].min()) for cut in at
        ]
        cuts[axis] = _of_ends(axis, [*sorted(ends), np.inf])
    return tree.predict(given).astype(bool), cuts


def _end(low: float, high: float) -> float:
    """Where the step of the value ``low`` ends: there, unless words would round it."""
    return low if float(f"{low:.12g}") == low else fewest_digits(low, high)


def _undecided(setting: Mapping[Any, Any]) -> str:
    """A setting whose seeds disagree, with its counts."""
    described = assigned((axis, setting[axis]) for axis in RULE_AXES)
    return f"{setting['leaks']} of {setting['leaks'] + setting['holds']} leak at {described}"
