"""The space that a search explores: for each optimizer, its parameters and what is fixed.

    spec ──► boxes of its grid ─┐
    ranges ─────────────────────┴─► dimensions of each optimizer ─► suggest ─► planned trial
                                                    recorded row ─► parameters

A parameter is conditional where some optimizers have it and others have not. The optimizer
itself is one, too, where there are several.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Dimension:
    """One parameter of an optimizer's settings.

    Attributes:
        name: the parameter's name in the study; one name where optimizers have the same
            values for it.
        target: the axis that it turns, `PERIOD`, or the address of a constructor argument.
        distribution: its values.
    """

    name: str
    target: str
    distribution: BaseDistribution

    def recorded(self, row: Mapping[str, Any]) -> Any:
        """Its value in a row of ``trial``. Raises KeyError or ValueError where it has none.

        Of several, it is the very one that is proposed: a word, where the row has its text.
        """
        found = self._recorded(row)
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices[self.distribution.choices.index(found)]
        return found

    def _recorded(self, row: Mapping[str, Any]) -> Any:
        if self.target == PERIOD:
            return schedule.parse(row["schedule"]).every
        if self.target in POINT_AXES:
            return row[self.target]
        return json.loads(row["options"])[self.target]

    def suggested(self, trial: Trial) -> Any:
        """Its value as ``trial``'s sampler has it."""
        match self.distribution:
            case FloatDistribution(low=low, high=high, log=log):
                return trial.suggest_float(self.name, low, high, log=log)
            case IntDistribution(low=low, high=high, log=log):
                return trial.suggest_int(self.name, low, high, log=log)
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(self.name, choices)
        raise TypeError(self.distribution)


class Space:
    """The settings that a search may propose.

    The values of an axis are those of all grids of the spec that have the optimizer, or its
    range. A parameter of one value is none.

    Attributes:
        distributions: every parameter by name, ``optimizer`` first where there are several.
        common: the names of the numbers that every setting has.
    """

    def __init__(self, spec: Spec, ranges: Sequence[Range], *, apart: bool = False) -> None:
        """Imports the packages of the spec's optimizers.

        With ``apart`` each optimizer's numbers are parameters of its own, for what is a large
        learning rate for one is a small one for another.

        Raises SpecError for a range that no optimizer of the spec has, or that is not for one
        of them.
        """
        self._spec = spec
        self._apart = apart
        self._fixed: dict[str, Mapping[str, Any]] = {}
        self._dimensions: dict[str, tuple[Dimension, ...]] = {}
        found: dict[str, dict[str, BaseDistribution]] = {}
        for name, values in _merged(spec).items():
            entry = registry.lookup(name)
            found[name] = dict(_targets(entry, values, ranges))
            self._fixed[name] = {axis: each[0] for axis, each in values.items()}
        _check_used(ranges, found)
        self.distributions = self._named(found)
        self.common = self._found_common()

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The optimizers, in the order of the spec."""
        return tuple(self._dimensions)

    def suggest(self, trial: Trial) -> PlannedTrial:
        """The setting that ``trial``'s sampler proposes."""
        names = list(self._dimensions)
        optimizer = trial.suggest_categorical(OPTIMIZER, names) if len(names) > 1 else names[0]
        chosen = {each.target: each.suggested(trial) for each in self._dimensions[optimizer]}
        return self._planned(optimizer, chosen)

    def parameters(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that stand for a row of ``trial``, by name.

        Raises KeyError, TypeError or ValueError for a row that is not of this space.
        """
        dimensions = self._dimensions[row["optimizer"]]
        several = len(self._dimensions) > 1
        chosen = {OPTIMIZER: row["optimizer"]} if several else {}
        return chosen | {each.name: each.recorded(row) for each in dimensions}

    def _planned(self, optimizer: str, chosen: Mapping[str, Any]) -> PlannedTrial:
        axes = dict(self._fixed[optimizer])
        given = self._spec.options.get(optimizer, {})
        options = registry.effective_options(registry.lookup(optimizer), given)
        for target, value in chosen.items():
            if target == PERIOD:
                axes["schedule"] = str(schedule.parse(f"every:{value}"))
            elif target in POINT_AXES:
                axes[target] = value
            else:
                options[target] = value
        setting = Setting(optimizer, **axes)
        text = canonical_json(options)
        return PlannedTrial(setting, self._spec.workload, self._spec.steps, text)

    def _named(self, found: Mapping[str, Mapping[str, BaseDistribution]]) -> dict[str, Any]:
        """Names the parameters of all optimizers; returns their distributions by name."""
        named: dict[str, BaseDistribution] = {}
        if len(found) > 1:
            named[OPTIMIZER] = CategoricalDistribution(list(found))
        for optimizer, targets in found.items():
            dimensions = []
            for target, distribution in targets.items():
                name = BETA2 if target == "betas[1]" else target
                number = not isinstance(distribution, CategoricalDistribution)
                own = self._apart and number and len(found) > 1
                if own or named.setdefault(name, distribution) != distribution:
                    name = f"{name} of {optimizer}"
                    named[name] = distribution
                dimensions.append(Dimension(name, target, distribution))
            self._dimensions[optimizer] = tuple(dimensions)
        return named

    def _found_common(self) -> tuple[str, ...]:
        each = [{d.name for d in dimensions} for dimensions in self._dimensions.values()]
        shared = set.intersection(*each)
        return tuple(
            name
            for name, distribution in self.distributions.items()
            if name in shared and not isinstance(distribution, CategoricalDistribution)
        )


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
    entry: OptimizerEntry, values: Mapping[str, tuple[Any, ...]], ranges: Sequence[Range]
) -> Iterator[tuple[str, BaseDistribution]]:
    """The target of each parameter of the optimizer, with its distribution."""
    by_name = {each.name: each for each in ranges if each.name in _OF_AXES}
    for axis, each in values.items():
        name = PERIOD if axis == Axis.SCHEDULE and PERIOD in by_name else axis
        if name in by_name and each != (None,):
            _check_momentum(entry, by_name[name])
            yield name, _numbers(by_name[name])
        elif len(each) > 1:
            yield axis, CategoricalDistribution(each)
    for wanted in ranges:
        address = _address(entry, wanted.name)
        if address is not None:
            yield address, _numbers(wanted)


def _numbers(wanted: Range) -> BaseDistribution:
    if wanted.name == PERIOD:
        return IntDistribution(int(wanted.low), int(wanted.high), log=wanted.log)
    return FloatDistribution(wanted.low, wanted.high, log=wanted.log)


def _check_momentum(entry: OptimizerEntry, wanted: Range) -> None:
    bound = entry.momentum_below
    if wanted.name == Axis.MOMENTUM and bound is not None and wanted.high >= bound:
        raise SpecError(
            f"{entry.name} takes a momentum ({entry.momentum}) below {bound:g}; the range ends at "
            f"{wanted.high:g}. End it below, such as at 0.99, or leave {entry.name} out with "
            f"--set optimizer=...",
            where="--range",
            key=wanted.name,
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
    ranges: Sequence[Range], found: Mapping[str, Mapping[str, BaseDistribution]]
) -> None:
    """Raises SpecError for the first range that no optimizer has, and where there is none."""
    if not ranges:
        raise SpecError(
            "No range is left to search: each axis has the values of the grid, and "
            "`leaksweep run` runs all of those. Give one, such as --range lr=1e-4:1:log.",
            where="--range",
        )
    used = {
        target
        for targets in found.values()
        for target, distribution in targets.items()
        if not isinstance(distribution, CategoricalDistribution)
    }
    used |= {BETA2} if "betas[1]" in used else set()
    for wanted in ranges:
        if wanted.name not in used:
            raise SpecError(_nobody_has(wanted.name, list(found)), where="--range")


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
