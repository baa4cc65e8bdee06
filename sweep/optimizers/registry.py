"""The registry: names to rows, rows to what their constructors take.

Rows are declared in one module a collection. A user's own ``package.module:Class`` gets a
row from one documented rule (`_row_for_class`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from sweep.errors import MisuseError, UnknownNameError, nearest
from sweep.optimizers import (
    heavyball_rows,
    pytorch_optimizer_rows,
    timm_rows,
    torch_optim,
    torch_optimizer_rows,
)
from sweep.optimizers.entry import ARGUMENT_AXES, OptimizerEntry, split_address
from sweep.workloads.importing import look_in_current_directory

_COLLECTIONS = (
    torch_optim.ROWS,
    pytorch_optimizer_rows.ROWS,
    heavyball_rows.ROWS,
    torch_optimizer_rows.ROWS,
    timm_rows.ROWS,
)
_ROWS = {row.name: row for rows in _COLLECTIONS for row in rows}


def names() -> tuple[str, ...]:
    """Every name on the ``optimizer`` axis, in the order of the collections."""
    return tuple(_ROWS)


def spelt(name: str) -> str:
    """The registry's own spelling of ``name``, whatever its case; as it is if it is unknown."""
    return {each.lower(): each for each in names()}.get(name.lower(), name)


@cache
def lookup(name: str) -> OptimizerEntry:
    """The row of ``name``, which is a registry name in any case or ``package.module:Class``.

    Raises UnknownNameError, with the nearest names, for a name the registry lacks, and
    MisuseError for a class that cannot be imported or is no optimizer. Imports the module
    that a ``package.module:Class`` names.
    """
    if ":" in name:
        return _row_for_class(name)
    try:
        return _ROWS[spelt(name)]
    except KeyError:
        hint = "`leaksweep show optimizers` lists all; your own is `package.module:Class`."
        raise UnknownNameError("optimizer", name, names(), hint=hint) from None


@cache
def unavailable(entry: OptimizerEntry) -> str | None:
    """Why ``entry`` cannot be built here; None if it can.

    Imports its module to find out, unless that is always there.
    """
    if entry.cannot is not None or entry.always_there:
        return entry.cannot
    try:
        optimizer_class(entry)
    except MisuseError as error:
        return str(error)
    return None


def default(entry: OptimizerEntry, axis: str) -> float | None:
    """The value of ``axis``, one of `ARGUMENT_AXES`, where a spec states none.

    It is that of ``entry``'s own constructor, unless its row declares another; None where there
    is none.
    """
    address = entry.address(axis)
    if address is None:
        return None
    if axis in entry.axis_defaults:
        return entry.axis_defaults[axis]
    argument, index = split_address(address)
    if argument in entry.options:
        value = entry.options[argument]
    else:
        value = constructor(entry).parameters[argument].default
    if value is inspect.Parameter.empty or value is None:
        return None
    return float(value if index is None else value[index])


def check_options(entry: OptimizerEntry, options: Mapping[str, Any]) -> None:
    """Raises MisuseError for an option that the constructor lacks or that an axis owns."""
    signature = constructor(entry)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    axes = {entry.address(axis): axis for axis in ARGUMENT_AXES}
    for option in options:
        argument, index = split_address(option)
        if option in axes:
            raise MisuseError(
                f"{option} of {entry.name} is the axis {axes[option]}; set it in the grid."
            )
        owned = [address for address in axes if address and split_address(address)[0] == argument]
        if owned and index is None:
            raise MisuseError(
                f"{owned[0]} of {entry.name} is the axis {axes[owned[0]]}; set the others "
                f'one by one, such as "{argument}[1]".'
            )
        if argument not in signature.parameters and not takes_any:
            close = nearest(argument, signature.parameters)
            known = f"Did you mean {' or '.join(close)}?" if close else _known_options(entry)
            raise MisuseError(f"{entry.name} takes no argument {argument!r}. {known}")


def optimizer_class(entry: OptimizerEntry) -> Any:  # a class or a factory
    """The class or factory that ``entry`` names.

    Raises MisuseError where the package is missing, does not import, or lacks the name.
    """
    module_name, _, attribute = entry.target.partition(":")
    if not entry.distribution:  # a user's own
        look_in_current_directory()
    try:
        if entry.surroundings is not None:
            _call_once(entry.surroundings)
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name.split(".")[0] != missing.split(".")[0]:
            raise MisuseError(f"{module_name} does not import: {error}") from error
        hint = f"; pip install '{entry.install}'" if entry.install else ""
        raise MisuseError(f"{missing} is not installed{hint}") from error
    except Exception as error:  # a package may fail to import in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MisuseError(f"{module_name} does not import: {reason}") from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise UnknownNameError(f"name in {module_name}", attribute, dir(module)) from None


@cache
def constructor(entry: OptimizerEntry) -> inspect.Signature:
    """The signature of ``entry``'s constructor."""
    return inspect.signature(optimizer_class(entry))


@cache
def package_version(entry: OptimizerEntry) -> str | None:
    """The library that ``entry`` comes from with its version, such as ``"torch 2.13.0"``.

    None for a class that belongs to no installed distribution.
    """
    if not entry.distribution:
        return None
    version = importlib.metadata.version(entry.distribution)
    return f"{entry.distribution} {version.split('+')[0]}"


def package_of(name: str) -> str | None:
    """The `package_version` of the optimizer of that name; None where it is not found, too."""
    try:
        return package_version(lookup(name))
    except (MisuseError, importlib.metadata.PackageNotFoundError):
        return None


@cache
def _call_once(address: str) -> None:
    module_name, _, function = address.partition(":")
    getattr(importlib.import_module(module_name), function)()


def _known_options(entry: OptimizerEntry) -> str:
    owned = {split_address(entry.address(axis) or "")[0] for axis in ARGUMENT_AXES}
    free = [name for name in list(constructor(entry).parameters)[1:] if name not in owned]
    return f"It takes: {', '.join(free)}."


def _row_for_class(name: str) -> OptimizerEntry:
    """The row of a user's own class, read from the names in its constructor.

    An argument ``lr``, ``weight_decay`` or ``momentum`` is the axis of that name; a class
    with ``betas`` or ``beta1`` and no ``momentum`` has its momentum there. A ``step`` whose
    closure has no default needs one, and a method ``train`` is called before training.
    """
    bare = OptimizerEntry(name=name, target=name, collection="own", distribution="")
    found = optimizer_class(bare)
    if not callable(getattr(found, "step", None)):
        raise MisuseError(f"{name} is no optimizer: it has no method `step`.")
    arguments = inspect.signature(found).parameters
    momentum = next((a for a in ("momentum", "betas", "beta1") if a in arguments), None)
    closure = inspect.signature(found.step).parameters.get("closure")
    package = found.__module__.partition(".")[0]
    owners = importlib.metadata.packages_distributions().get(package, [])
    return replace(
        bare,
        distribution=owners[0] if owners else "",
        lr="lr" if "lr" in arguments else None,
        weight_decay="weight_decay" if "weight_decay" in arguments else None,
        momentum="betas[0]" if momentum == "betas" else momentum,
        momentum_below=1.0 if momentum in ("betas", "beta1") else None,
        needs_closure=closure is not None and closure.default is closure.empty,
        train_mode=callable(getattr(found, "train", None)),
    )
