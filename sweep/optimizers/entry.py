"""One row of the optimizer registry, and how a value finds its constructor argument.

A row is a declaration: which optimizer, which constructor argument each axis turns, and
what it needs from the training loop. Nothing here imports torch or any optimizer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_INDEXED = re.compile(r"(?P<argument>\w+)\[(?P<index>\d+)\]")

STEPS = "$steps"
"""As an option's value: the trial's number of steps, for optimizers with a schedule inside."""


ARGUMENT_AXES = ("lr", "weight_decay", "momentum")
"""The axes that a constructor has an argument for, or has not."""


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OptimizerEntry:
    """One optimizer: where it is, which argument each axis turns, what it needs.

    An axis is given as an *address*: an argument's name (``"momentum"``), one element of a
    tuple argument (``"betas[0]"``), or None where the optimizer has no such thing.

    Attributes:
        name: the word used on the ``optimizer`` axis.
        target: ``"package.module:Class"``, imported when it is built.
        collection: the group it is listed under, such as ``"torch"``.
        distribution: the PyPI name whose version goes into ``optimizer_package``; empty
            for a user's own class that belongs to none.
        install: what ``pip install`` takes to get it; empty where this program brings it.
        lr, weight_decay, momentum: addresses.
        momentum_below: exclusive upper bound of the momentum value; None for no bound.
        axis_defaults: values by axis that are taken without asking the constructor: its own,
            or such as stand for them where it has none, or one with which the layer would not
            move within a short trial.
        options: constructor arguments that this program sets unless the spec does.
        group_options: what each parameter group must say beside its parameters.
        decay_key: the key of a parameter group that holds the weight decay in force, so that
            setting it to 0 switches decay off from the next step on; None where it is kept
            elsewhere. Of no meaning where there is no weight decay.
        rate_key: the key of a parameter group that holds the learning rate in force, so that
            setting it to 0 makes the next step's 0; None where it is kept elsewhere.
        needs_closure: ``step`` must be given a closure that runs forward and backward.
        backward_first: the grads must be there before ``step(closure)`` is called, too.
        create_graph: ``backward`` must keep the graph (second-order methods).
        param_groups: it takes several parameter groups.
        sparse: it takes sparse gradients only.
        matrices_only: it takes parameters of two dimensions only.
        elementwise: each element of a parameter moves by its own grads and its own history
            alone, so that tensors put into one move as they did apart.
        takes_model: its constructor takes a whole model, and not parameters.
        train_mode: its ``train()`` must be called before the first step.
        surroundings: ``"package.module:function"`` to call once in a process before anything
            is built: what the library needs around it. See `sweep.optimizers.surroundings`.
        always_there: its package is one that this program cannot run without.
        cannot: why it cannot be built here at all; None where it can.
    """

    name: str
    target: str
    collection: str
    distribution: str
    install: str = ""
    lr: str | None = "lr"
    weight_decay: str | None = "weight_decay"
    momentum: str | None = None
    momentum_below: float | None = None
    axis_defaults: Mapping[str, float] = field(default_factory=_nothing, hash=False)
    options: Mapping[str, Any] = field(default_factory=_nothing, hash=False)
    group_options: Mapping[str, Any] = field(default_factory=_nothing, hash=False)
    decay_key: str | None = "weight_decay"
    rate_key: str | None = "lr"
    needs_closure: bool = False
    backward_first: bool = False
    create_graph: bool = False
    param_groups: bool = True
    sparse: bool = False
    matrices_only: bool = False
    elementwise: bool = False
    takes_model: bool = False
    train_mode: bool = False
    surroundings: str | None = None
    always_there: bool = False
    cannot: str | None = None

    def address(self, axis: str) -> str | None:
        """The address that ``axis``, one of `ARGUMENT_AXES`, turns; None if it has none."""
        address: str | None = getattr(self, axis)
        return address


BETA1: dict[str, Any] = {"momentum": "betas[0]", "momentum_below": 1.0}
BETA: dict[str, Any] = {"momentum": "beta", "momentum_below": 1.0}
MOMENTUM: dict[str, Any] = {"momentum": "momentum", "momentum_below": 1.0}


def row_of(
    library: str, module: str, name: str, class_name: str = "", /, **declared: object
) -> OptimizerEntry:
    """The row of a class in a module of a library, by default the one of the row's own name.

    ``class_name`` may be a whole ``"package.module:Class"``; ``declared`` is what else the row
    says.
    """
    target = f"{module}:{class_name or name}"
    return OptimizerEntry(
        name=f"{library}.{name}",
        target=class_name if ":" in class_name else target,
        collection=library,
        distribution=library.replace("_", "-"),
        **declared,  # type: ignore[arg-type]  # the dataclass checks the names at import
    )


def split_address(address: str) -> tuple[str, int | None]:
    """The argument's name and the index into it.

    >>> split_address("betas[0]")
    ('betas', 0)
    >>> split_address("momentum")
    ('momentum', None)
    """
    match = _INDEXED.fullmatch(address)
    if match is None:
        return address, None
    return match["argument"], int(match["index"])
