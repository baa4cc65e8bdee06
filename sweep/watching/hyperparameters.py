"""With which settings an optimizer holds a parameter, as the database has them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from typing import Any, cast

from torch import Tensor
from torch.optim import Optimizer

from sweep.optimizers import registry
from sweep.optimizers.entry import OptimizerEntry, split_address
from sweep.values.setting import Setting
from sweep.values.words import OWN_LOOP, Freeze, GradState, ZeroGrad
from sweep.watching.findings import Record
from sweep.watching.parts import values_of

_ZERO_GRAD = {
    GradState.NONE: ZeroGrad.NONE,
    GradState.ZERO: ZeroGrad.ZERO,
    GradState.NONZERO: ZeroGrad.NEVER,
}
"""What the state of a grad says about how it was cleared."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is recorded of a parameter under an optimizer.

    Attributes:
        setting: its group's, of the optimizer by the registry's name or ``package.module:Class``.
        package: the library it is from, with its version; None for one's own.
        device: where the parameter is.
        finite: whether all of it is finite now.
    """

    setting: Setting
    package: str | None
    device: str
    finite: bool


def facts_about(optimizer: Optimizer, parameter: Tensor, record: Record) -> Facts:
    """The facts now; of a parameter that has left the optimizer there are no numbers."""
    entry = _entry_of(optimizer)
    holding = [g for g in optimizer.param_groups if any(p is parameter for p in g["params"])]
    group = holding[0] if holding else {}
    addresses = ("lr", "weight_decay", "momentum" if "momentum" in group else "betas[0]")
    if entry is not None:
        addresses = (entry.lr or "", entry.weight_decay or "", entry.momentum or "")
    lr, weight_decay, momentum = (_number(group, address) for address in addresses)
    setting = Setting(
        optimizer=class_address(optimizer),
        lr=lr,
        weight_decay=weight_decay,
        momentum=momentum,
        zero_grad=_ZERO_GRAD[GradState.NONE if record.state is None else record.state.grad],
        schedule=OWN_LOOP,
        freeze=cast("Freeze", OWN_LOOP),  # no way of freezing that a grid could have
        seed=0,
    )
    finite = all(bool(part.isfinite().all()) for part in values_of(parameter))
    return Facts(setting, _package(entry), parameter.device.type, finite)


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
