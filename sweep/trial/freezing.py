"""The ways of freezing: what each one does to a training step, one idea each.

A way can act at three points of a step, and can ask for the optimizer's parameters to be
grouped so that it can act at all. `sweep.trial.training` calls them; nothing here knows of
schedules or optimizers' names.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from sweep.errors import MisuseError, WorkloadError
from sweep.values.words import Freeze
from sweep.workloads.workload import Workload

Forward = Callable[[Workload, int], Tensor]
"""The loss of one forward pass of a workload, on the step of that number."""


class Grouping(Enum):
    """How the frozen parameters stand in the optimizer."""

    TOGETHER = auto()  # in one group with the others
    OWN_GROUP = auto()  # in the optimizer's second parameter group
    OWN_OPTIMIZER = auto()  # in a second optimizer, which frozen steps leave alone


def attached_forward(workload: Workload, step: int) -> Tensor:
    """The workload's own forward pass, through which gradients reach every parameter."""
    return workload.loss(workload.model, workload.data, step)


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class WayOfFreezing:
    """What one way of freezing does.

    Attributes:
        grouping: how the frozen parameters stand in the optimizer.
        forward: the forward pass of a frozen step.
        begin: called at the start of every step with the parameters to freeze, the
            optimizer they are in, the key of its learning rate in a parameter group, and
            whether the step is frozen.
        before_step: called with them on frozen steps, between backward and ``step()``.
    """

    grouping: Grouping = Grouping.TOGETHER
    forward: Forward = attached_forward
    begin: Callable[[Iterable[nn.Parameter], Optimizer, str | None, bool], None] = _nothing
    before_step: Callable[[Iterable[nn.Parameter]], None] = _nothing

    def detaches(self, workload: Workload) -> bool:
        """Whether hooks cut off what the modules of ``workload`` give on a frozen step."""
        own = self.forward is _detached_forward and workload.detached_loss is not None
        return self.forward is not attached_forward and not own


def _detached_forward(workload: Workload, step: int) -> Tensor:
    """With the outputs of the modules that own the frozen parameters detached."""
    if workload.detached_loss is not None:
        return workload.detached_loss(workload.model, workload.data, step)
    with ExitStack() as hooks:
        for module in _hookable_modules(workload, Freeze.DETACH):
            hooks.enter_context(_removed(module.register_forward_hook(_detach_output)))
        return workload.loss(workload.model, workload.data, step)


def _no_grad_forward(workload: Workload, step: int) -> Tensor:
    """With the modules that own the frozen parameters run under ``torch.no_grad``."""
    with ExitStack() as hooks:
        for module in _hookable_modules(workload, Freeze.NO_GRAD):
            grad_mode: list[torch.no_grad] = []
            enter = module.register_forward_pre_hook(partial(_enter_no_grad, grad_mode))
            leave = module.register_forward_hook(
                partial(_leave_no_grad, grad_mode), always_call=True
            )
            hooks.enter_context(_removed(enter))
            hooks.enter_context(_removed(leave))
        return workload.loss(workload.model, workload.data, step)


def _toggle_requires_grad(
    parameters: Iterable[nn.Parameter], _: Optimizer, __: str | None, frozen: bool
) -> None:
    for parameter in parameters:
        parameter.requires_grad_(not frozen)


def _drop_grads(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None


def _zero_grads(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter if parameter.grad is None else parameter.grad)


def _toggle_lr(
    _: Iterable[nn.Parameter], optimizer: Optimizer, rate_key: str | None, frozen: bool
) -> None:
    """Sets the lr of the frozen parameters' group, the last one, to 0 or back.

    Raises MisuseError where a class of the user's own keeps its learning rate elsewhere.
    """
    attached_group, own_group = optimizer.param_groups
    if rate_key not in own_group:
        raise MisuseError(
            f"{type(optimizer).__name__} keeps no {rate_key!r} in its parameter groups, which "
            f"freeze = lr_zero sets to 0."
        )
    own_group[rate_key] = 0.0 if frozen else attached_group[rate_key]


WAYS: dict[Freeze, WayOfFreezing] = {
    Freeze.DETACH: WayOfFreezing(forward=_detached_forward),
    Freeze.NO_GRAD: WayOfFreezing(forward=_no_grad_forward),
    Freeze.REQUIRES_GRAD: WayOfFreezing(begin=_toggle_requires_grad),
    Freeze.GRAD_NONE: WayOfFreezing(before_step=_drop_grads),
    Freeze.GRAD_ZERO: WayOfFreezing(before_step=_zero_grads),
    Freeze.LR_ZERO: WayOfFreezing(grouping=Grouping.OWN_GROUP, begin=_toggle_lr),
    Freeze.OWN_OPTIMIZER: WayOfFreezing(grouping=Grouping.OWN_OPTIMIZER),
}
"""The freeze axis: one row a way. To add a way, add its word and its row."""


def _hookable_modules(workload: Workload, freeze: Freeze) -> list[nn.Module]:
    modules = workload.frozen_modules()
    if any(module is workload.model for module in modules):
        raise WorkloadError(
            f"freeze = {freeze.value} acts on the module that owns a frozen parameter, and the "
            f"whole model owns one of {', '.join(workload.frozen)}: no gradient would reach "
            f"anything. Give the parameter a module of its own, or freeze by requires_grad."
        )
    return modules


@contextmanager
def _removed(handle: RemovableHandle) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _detach_output(module: nn.Module, _args: object, output: Any) -> Any:
    return _detached(output, module)


def _detached(output: Any, module: nn.Module) -> Any:
    """``output`` with every tensor in it detached, in containers of the same kind."""
    if isinstance(output, Tensor):
        return output.detach()
    if isinstance(output, dict):
        detached = copy.copy(output)  # keeps a subclass, which may have attributes too
        for key, item in output.items():
            detached[key] = _detached(item, module)
        return detached
    if isinstance(output, tuple | list):
        items = (_detached(item, module) for item in output)
        return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)
    if output is None or isinstance(output, str | int | float):
        return output
    raise WorkloadError(
        f"freeze = detach detaches the tensors that {type(module).__name__} returns, and knows "
        f"tuples, lists and dicts of them; {type(output).__name__} came. Give the workload a "
        f"detached_loss, or freeze by requires_grad."
    )


def _enter_no_grad(entered: list[torch.no_grad], *_: object) -> None:
    entered.append(torch.no_grad())
    entered[-1].__enter__()


def _leave_no_grad(entered: list[torch.no_grad], *_: object) -> None:
    entered.pop().__exit__(None, None, None)
