"""What a frozen part that is declared pure gave, kept for as long as its bits and its input's stay.

A workload says ``pure=True``: the modules that own its frozen parameters give the same for the same
weights and input, draw nothing and change nothing. That is checked where it can be: whenever one
is computed, and, on steps that are drawn, by computing what is kept anew.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from sweep.errors import WorkloadError
from sweep.trial.probe import bits
from sweep.workloads.seeding import generators_state
from sweep.workloads.workload import Workload

CHECKED = 1 / 16
"""The share of kept outputs that are computed anew and compared; the first always is."""


@dataclass(slots=True)
class _Made:
    """One call of a module in a forward pass: copies of its weights, and what it gave with them.

    An output is kept from the second time on that the weights are these: where they move on every
    step, nothing else is copied.
    """

    weights: Sequence[Any]
    inputs: Sequence[Any] | None = None
    output: Any = None


class KeptOutputs:
    """What each frozen module gave last, for each call of it in a forward pass."""

    def __init__(self, workload: Workload, seed: int) -> None:
        """Keeps nothing yet; ``seed`` draws the steps on which what is kept is checked."""
        self._modules = workload.frozen_modules()
        self._made: dict[tuple[nn.Module, int], _Made] = {}
        self._drawn = random.Random(seed)  # no secret, and no generator of a trial
        self._reused = 0

    @contextmanager
    def instead_of_computing(self) -> Iterator[None]:
        """Has the frozen modules give in a forward pass what they gave, where nothing changed.

        The pass raises WorkloadError where one is seen not to be pure.
        """
        with ExitStack() as stack:
            for module in self._modules:
                stack.enter_context(_forward_is(module, self._kept_forward(module)))
            yield

    def _kept_forward(self, module: nn.Module) -> Callable[..., Any]:
        forward, calls = module.forward, 0

        def kept_forward(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            inputs, structure = pytree.tree_flatten((args, kwargs))
            inputs = [str(structure), *inputs]
            weights = [module.training, *module.parameters(), *module.buffers()]
            made = self._made.get((module, calls))
            if made is None or not _same(made.weights, weights):
                self._made[module, calls] = _Made(_copies(weights))
                return _computed(module, forward, args, kwargs)
            known = made.inputs is not None and _same(made.inputs, inputs)
            if known and not self._is_checked():
                return _copied(made.output)
            output = _computed(module, forward, args, kwargs)
            kept = _copied(output)
            if known and not _same(pytree.tree_leaves(made.output), pytree.tree_leaves(kept)):
                raise _impure(module, "gave other bits for the same weights and input")
            made.inputs, made.output = made.inputs if known else _copies(inputs), kept
            return output

        return kept_forward

    def _is_checked(self) -> bool:
        self._reused += 1
        return self._reused == 1 or self._drawn.random() < CHECKED


def _computed(
    module: nn.Module, forward: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """What the module gives. Raises WorkloadError where it draws or writes meanwhile."""
    buffers, drawn = _copies(list(module.buffers())), generators_state()
    output = forward(*args, **kwargs)
    if generators_state() != drawn:
        raise _impure(module, "drew from a random generator")
    if not _same(buffers, list(module.buffers())):
        raise _impure(module, "changed a buffer of its own")
    return output


def _impure(module: nn.Module, did: str) -> WorkloadError:
    return WorkloadError(
        f"The workload says that its frozen part is pure, and its {type(module).__name__} {did}. "
        f"Without pure=True it is computed on every step, whatever it does."
    )


@contextmanager
def _forward_is(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    own = vars(module).get("forward")
    vars(module)["forward"] = forward
    try:
        yield
    finally:
        del vars(module)["forward"]
        if own is not None:
            vars(module)["forward"] = own


def _copied(output: Any) -> Any:
    """With every tensor in it detached and copied: what comes next may write into it."""
    return pytree.tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), output)


def _copies(values: Sequence[Any]) -> list[Any]:
    return [_copied(value) for value in values]


def _same(ones: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(ones) == len(others) and all(map(_is_same, ones, others))


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same: tensors laid out alike, bit for bit, and plain values."""
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        plain = one is None or isinstance(one, bool | int | float | str)
        return plain and type(one) is type(other) and repr(one) == repr(other)
    alike = one.layout is other.layout is torch.strided and one.device == other.device
    if not alike or one.dtype is not other.dtype or one.shape != other.shape:
        return False
    return one.stride() == other.stride() and torch.equal(bits(one), bits(other.detach()))
