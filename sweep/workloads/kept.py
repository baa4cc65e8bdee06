"""The first layer of the built-in nets, computed once for as long as its weights keep their bits.

A layer that has not moved gives what it gave, whatever its step is called. Bits are compared, not
versions: `.data` passes those by. What is kept is what torch's own kernels gave, so that every
outcome is the same bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class _Made:
    """A product and its ReLU, and what they were made of."""

    x: Tensor
    weight: Tensor
    product: Tensor
    active: Tensor


class KeptProduct:
    """``x @ weight.mT``, and its ReLU, for the ``x`` and ``weight`` that came last.

    A copy of a net shares it: trainings of one trial begin their replays with the same bits.
    """

    def __init__(self) -> None:
        self._made: _Made | None = None

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def of(self, x: Tensor, weight: Tensor) -> Tensor:
        """The product, through which gradients reach ``weight`` and ``x``."""
        made = self._up_to_date(x, weight.detach()).product
        result: Tensor = _Product.apply(x, weight, made)  # type: ignore[no-untyped-call]
        return result

    def relu(self, product: Tensor) -> Tensor:
        """The ReLU of ``product``, the latest one or a tensor that shares its memory."""
        made = self._made
        if made is None or made.product.data_ptr() != product.data_ptr():
            return torch.relu(product)
        active: Tensor = _Relu.apply(product, made.active)  # type: ignore[no-untyped-call]
        return active

    def _up_to_date(self, x: Tensor, weight: Tensor) -> _Made:
        made = self._made
        if made is None or made.x is not x or not _same_bits(made.weight, weight):
            self._made = made = None  # frees its memory for the new one
            product = torch.matmul(x, weight.mT)
            self._made = made = _Made(x, weight.clone(), product, torch.relu(product))
        return made


def product(x: Tensor, weight: Tensor) -> Tensor:
    """``x @ weight.mT``, with its grads in a linear layer's own layout.

    Autograd's grads of a stacked product come out transposed, and sums in another order.
    """
    made = torch.matmul(x.detach(), weight.detach().mT)
    result: Tensor = _Product.apply(x, weight, made)  # type: ignore[no-untyped-call]
    return result


def _same_bits(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.view(torch.int32), other.view(torch.int32))


class _Product(torch.autograd.Function):
    """``x @ weight.mT``, made before."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, made: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return made.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, _ = ctx.needs_input_grad
        return (
            torch.matmul(grad, weight) if of_x else None,
            torch.matmul(grad.mT, x) if of_weight else None,
            None,
        )


class _Relu(torch.autograd.Function):
    """A ReLU, made before."""

    @staticmethod
    def forward(ctx: Any, product: Tensor, made: Tensor) -> Tensor:
        ctx.save_for_backward(made)
        return made.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (made,) = ctx.saved_tensors
        of_product: Tensor = torch.ops.aten.threshold_backward(grad, made, 0)
        return of_product, None
