"""From a row and a setting to a real optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from sweep.optimizers.entry import (
    ARGUMENT_AXES,
    STEPS,
    OptimizerEntry,
    split_address,
)
from sweep.optimizers.registry import constructor, optimizer_class
from sweep.values.setting import Setting

ParameterGroups = Sequence[Mapping[str, nn.Parameter]]


def build_optimizer(
    entry: OptimizerEntry,
    groups: ParameterGroups,
    model: nn.Module,
    setting: Setting,
    options: Mapping[str, Any],
    *,
    steps: int,
) -> Optimizer:
    """A new optimizer over ``groups`` (each a group's parameters by name), with its axes set.

    Raises whatever the optimizer's constructor raises.
    """
    arguments = constructor_arguments(entry, setting, options, steps=steps)
    optimizer: Optimizer = optimizer_class(entry)(_first(entry, groups, model), **arguments)
    return optimizer


def constructor_arguments(
    entry: OptimizerEntry, setting: Setting, options: Mapping[str, Any], *, steps: int
) -> dict[str, Any]:
    """The keyword arguments of ``entry``'s constructor for ``setting`` and ``options``."""
    values = {address: steps if value == STEPS else value for address, value in options.items()}
    turned = {entry.address(axis): getattr(setting, axis) for axis in ARGUMENT_AXES}
    values |= {address: v for address, v in turned.items() if address and v is not None}
    return _fold_elements(entry, values)


def _fold_elements(entry: OptimizerEntry, values: Mapping[str, Any]) -> dict[str, Any]:
    """Addresses such as ``betas[0]`` folded into whole tuples, the rest from the defaults."""
    arguments: dict[str, Any] = {}
    elements: dict[str, dict[int, Any]] = {}
    for address, value in values.items():
        argument, index = split_address(address)
        if index is None:
            arguments[argument] = tuple(value) if isinstance(value, list) else value
        else:
            elements.setdefault(argument, {})[index] = value
    for argument, at in elements.items():
        parameter = constructor(entry).parameters.get(argument)  # it may be one of **kwargs
        given = arguments.get(argument, None if parameter is None else parameter.default)
        whole = [None] * (max(at) + 1) if given is None else list(given)
        for index, value in at.items():
            whole[index] = value
        arguments[argument] = tuple(whole)
    return arguments


def _first(entry: OptimizerEntry, groups: ParameterGroups, model: nn.Module) -> object:
    if entry.takes_model:
        return model
    if len(groups) == 1 and not entry.group_options:
        return list(groups[0].values())
    return [{"params": list(group.values()), **entry.group_options} for group in groups]
