"""The space that a search explores: for each optimizer, its parameters and what is fixed.

    spec ──► boxes of its grid ─┐
    ranges ─────────────────────┴─► distributions of each optimizer ─► suggest ─► planned trial
                                                       recorded row ─► parameters

A parameter is conditional where some optimizers have it and others have not. The optimizer
itself is one, too, where there are several.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from sweep.errors import SpecError, nearest
from sweep.grid.plan import make_plan
from sweep.grid.spec import Spec
from sweep.optimizers import registry
from sweep.optimizers.entry import ARGUMENT_AXES, OptimizerEntry
from sweep.searching.ranges import BETA2, PERIOD, USUAL, Range
from sweep.values import schedule
from sweep.values.setting import POINT_AXES, PlannedTrial, Setting, canonical_json
from sweep.values.words import Axis

OPTIMIZER = Axis.OPTIMIZER.value
_OF_AXES = (*ARGUMENT_AXES, PERIOD)


class Space:
    """The settings that a search may propose.

    The values of an axis are those of all grids of the spec that have the optimizer, or its
    range. A parameter of one value is none.

    Attributes:
        distributions: every parameter by name, ``optimizer`` first where there are several.
        common: the names of the numbers that every setting has.
    """

    def __init__(self, spec: Spec, ranges: Mapping[str, Range], *, apart: bool = False) -> None:
        """Imports the packages of the spec's optimizers.

        With ``apart`` each optimizer's numbers are parameters of its own, for what is a large
        learning rate for one is a small one for another.

        Raises SpecError for a range that no optimizer of the spec has, or that is not for one
        of them.
        """
        self._spec = spec
        self._fixed: dict[str, Mapping[str, Any]] = {}
        found: dict[str, dict[str, BaseDistribution]] = {}
        for optimizer, values in _merged(spec).items():
            found[optimizer] = dict(_targets(registry.lookup(optimizer), values, ranges))
            self._fixed[optimizer] = {axis: each[0] for axis, each in values.items()}
        _check_used(ranges, found)
        several = len(found) > 1
        self.distributions: dict[str, BaseDistribution] = {}
        if several:
            self.distributions[OPTIMIZER] = CategoricalDistribution(list(found))
        self._targets: dict[str, dict[str, str]] = {optimizer: {} for optimizer in found}
        for optimizer, targets in found.items():
            for target, distribution in targets.items():
                name = BETA2 if target == "betas[1]" else target
                own = apart and several and _is_range(distribution)
                if own or self.distributions.setdefault(name, distribution) != distribution:
                    name = f"{name} of {optimizer}"
                    self.distributions[name] = distribution
                self._targets[optimizer][name] = target
        shared = set.intersection(*map(set, self._targets.values()))
        numbers = (name for name, each in self.distributions.items() if _is_range(each))
        self.common = tuple(name for name in numbers if name in shared)

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The optimizers, in the order of the spec."""
        return tuple(self._targets)

    def suggest(self, trial: Trial) -> PlannedTrial:
        """The setting that ``trial``'s sampler proposes."""
        optimizer, *others = self._targets
        if others:
            optimizer = trial.suggest_categorical(OPTIMIZER, [optimizer, *others])
        axes = dict(self._fixed[optimizer])
        given = self._spec.options.get(optimizer, {})
        options = {**registry.lookup(optimizer).options, **given}
        for name, target in self._targets[optimizer].items():
            value = _suggested(trial, name, self.distributions[name])
            if target == PERIOD:
                axes["schedule"] = str(schedule.parse(f"every:{value}"))
            elif target in POINT_AXES:
                axes[target] = value
            else:
                options[target] = value
        setting = Setting(optimizer, **axes)
        text = canonical_json(options)
        return PlannedTrial(setting, self._spec.workload, self._spec.steps, text)

    def parameters(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that stand for a row of ``trial``, by name.

        One of several values is the very one that is proposed: a word, where the row has its text.
        Raises KeyError, TypeError or ValueError for a row that is not of this space.
        """
        targets = self._targets[row["optimizer"]]
        several = OPTIMIZER in self.distributions
        found: dict[str, Any] = {OPTIMIZER: row["optimizer"]} if several else {}
        for name, target in targets.items():
            if target == PERIOD:
                value: Any = schedule.parse(row["schedule"]).every
            elif target in POINT_AXES:
                value = row[target]
            else:
                value = json.loads(row["options"])[target]
            kind = self.distributions[name]
            if isinstance(kind, CategoricalDistribution):
                value = kind.choices[kind.choices.index(value)]
            found[name] = value
        return found


def _is_range(distribution: BaseDistribution) -> bool:
    return not isinstance(distribution, CategoricalDistribution)


def _suggested(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
        case IntDistribution(low=low, high=high, log=log):
            return trial.suggest_int(name, low, high, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise TypeError(distribution)


def _merged(spec: Spec) -> dict[str, dict[str, tuple[Any, ...]]]:
    """The values of each axis by optimizer, over all grids of ``spec`` that have it.

    Raises SpecError where no setting of the spec can exist.
    """
    merged: dict[str, dict[str, tuple[Any, ...]]] = {}
    plan = make_plan(spec)
    for box in plan.boxes:
        values = merged.setdefault(box.optimizer, {axis.value: () for axis in POINT_AXES})
        for axis, more in zip(POINT_AXES, box.values, strict=True):
            values[axis.value] = tuple(dict.fromkeys((*values[axis.value], *more)))
    if not merged:
        reasons = "; ".join(f"{each.optimizer}: {each.reason}" for each in plan.omissions[:3])
        message = f"No setting is left to search: {reasons}."
        raise SpecError(message, where=spec.source, key="grid")
    return merged


def _targets(
    entry: OptimizerEntry, values: Mapping[str, tuple[Any, ...]], ranges: Mapping[str, Range]
) -> Iterator[tuple[str, BaseDistribution]]:
    """The target of each parameter of the optimizer, with its distribution."""
    for axis, each in values.items():
        name = PERIOD if axis == Axis.SCHEDULE and PERIOD in ranges else axis
        if name in _OF_AXES and name in ranges and each != (None,):
            _check_momentum(entry, name, ranges[name])
            yield name, ranges[name]
        elif len(each) > 1:
            yield axis, CategoricalDistribution(each)
    for name, wanted in ranges.items():
        address = _address(entry, name)
        if address is not None:
            yield address, wanted


def _check_momentum(entry: OptimizerEntry, name: str, wanted: Range) -> None:
    bound = entry.momentum_below
    if name == Axis.MOMENTUM and bound is not None and wanted.high >= bound:
        raise SpecError(
            f"{entry.name} takes a momentum ({entry.momentum}) below {bound:g}; the range ends at "
            f"{wanted.high:g}. End it below, such as at 0.99, or leave {entry.name} out with "
            f"--set optimizer=...",
            where="--range",
            key=name,
        )


def _address(entry: OptimizerEntry, name: str) -> str | None:
    """The address of the constructor argument that a range of that name is for; None for none."""
    if name in _OF_AXES:
        return None
    numeric = _numeric_addresses(entry)
    if name == BETA2 and "betas[1]" in numeric:
        return "betas[1]"
    return name if name in numeric else None


def _numeric_addresses(entry: OptimizerEntry) -> list[str]:
    """The constructor's arguments, and elements of them, whose default is a number.

    What an axis turns is not among them.
    """
    owned = {entry.address(axis) for axis in ARGUMENT_AXES}
    found: list[str] = []
    for argument, parameter in registry.constructor(entry).parameters.items():
        default = parameter.default
        if isinstance(default, tuple):
            found += [f"{argument}[{i}]" for i, each in enumerate(default) if _is_number(each)]
        elif _is_number(default):
            found.append(argument)
    return [address for address in found if address not in owned]


def _is_number(value: object) -> bool:
    counts = type(value) is int and value != 0  # things, such as history_size
    return isinstance(value, int | float) and not isinstance(value, bool) and not counts


def _check_used(
    ranges: Mapping[str, Range], found: Mapping[str, Mapping[str, BaseDistribution]]
) -> None:
    """Raises SpecError for the first range that no optimizer has, and where there is none."""
    if not ranges:
        raise SpecError(
            "No range is left to search: each axis has the values of the grid, and "
            "`leaksweep run` runs all of those. Give one, such as --range lr=1e-4:1:log.",
            where="--range",
        )
    used = {name for each in found.values() for name, kind in each.items() if _is_range(kind)}
    used |= {BETA2} if "betas[1]" in used else set()
    for name in ranges:
        if name not in used:
            raise SpecError(_nobody_has(name, list(found)), where="--range")


def _nobody_has(name: str, optimizers: Sequence[str]) -> str:
    addresses: Iterable[str] = (
        address for each in optimizers for address in _numeric_addresses(registry.lookup(each))
    )
    known = list(dict.fromkeys((*USUAL, *addresses)))
    close = nearest(name[:100], known)
    hint = f" Did you mean {' or '.join(close)}?" if close and name not in close else ""
    shown = ", ".join(optimizers[:6]) + (" ..." if len(optimizers) > 6 else "")
    return (
        f"No optimizer of the search ({shown}) has a number {name[:100]!r}.{hint} "
        f"Valid: {', '.join(known[:24])}."
    )
