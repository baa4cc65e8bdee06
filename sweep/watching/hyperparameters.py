"""With which settings an optimizer holds a parameter, as the database has them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from sweep.optimizers import registry
from sweep.optimizers.entry import OptimizerEntry, split_address
from sweep.watching.parts import values_of


@dataclass(frozen=True, slots=True)
class Facts:
    """What is recorded of a parameter under an optimizer.

    Attributes:
        optimizer: the registry's name of its class, or ``package.module:Class``.
        package: the library it is from, with its version; None for one's own.
        lr, weight_decay, momentum: of the parameter's group; None where there is none.
        device: where the parameter is.
        finite: whether all of it is finite now.
    """

    optimizer: str
    package: str | None
    lr: float | None
    weight_decay: float | None
    momentum: float | None
    device: str
    finite: bool


def facts_about(optimizer: Optimizer, parameter: Tensor) -> Facts:
    """The facts now; of a parameter that has left the optimizer there are no settings."""
    entry = _entry_of(optimizer)
    holding = [g for g in optimizer.param_groups if any(p is parameter for p in g["params"])]
    group = holding[0] if holding else {}
    addresses = ("lr", "weight_decay", "momentum" if "momentum" in group else "betas[0]")
    if entry is not None:
        addresses = (entry.lr or "", entry.weight_decay or "", entry.momentum or "")
    lr, weight_decay, momentum = (_number(group, address) for address in addresses)
    return Facts(
        optimizer=class_address(optimizer),
        package=_package(entry),
        lr=lr,
        weight_decay=weight_decay,
        momentum=momentum,
        device=parameter.device.type,
        finite=all(bool(part.isfinite().all()) for part in values_of(parameter)),
    )


def class_address(optimizer: Optimizer) -> str:
    """The registry's name of its class, or ``package.module:Class``."""
    entry, kind = _entry_of(optimizer), type(optimizer)
    return f"{kind.__module__}:{kind.__qualname__}" if entry is None else entry.name


def _number(group: Mapping[str, Any], address: str) -> float | None:
    """The number at ``address`` in a parameter group; None where there is none."""
    argument, index = split_address(address)
    value = group.get(argument)
    if value is None or (index is not None and not isinstance(value, tuple | list)):
        return None
    return float(value if index is None else value[index])


def _entry_of(optimizer: Optimizer) -> OptimizerEntry | None:
    """The registry's row of its class; None if there is none. Imports nothing."""
    for name in registry.names():
        entry = registry.lookup(name)
        module, _, attribute = entry.target.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is type(optimizer):
            return entry
    return None


def _package(entry: OptimizerEntry | None) -> str | None:
    try:
        return None if entry is None else registry.package_version(entry)
    except PackageNotFoundError:
        return None
