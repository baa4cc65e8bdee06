"""What a grad holds, row by row, and grads with zeros put into them.

A row is an index along the first dimension of what a process holds of the parameter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sweep.watching.digests import nonzero_rows
from sweep.watching.parts import parts


def rows_with_nonzero(grad: Tensor) -> Tensor:
    """In which rows ``grad`` is not all zeros, as a boolean tensor of shape ``(rows,)``."""
    if grad.layout is not torch.sparse_coo:
        return nonzero_rows(_one(grad))
    indices, values = parts(grad)
    return _marked(indices[0][nonzero_rows(values)], grad)


def listed_rows(grad: Tensor) -> Tensor:
    """Which rows a sparse grad lists; none of a dense one."""
    if grad.layout is not torch.sparse_coo:
        return torch.zeros(_one(grad).shape[:1], dtype=torch.bool, device=grad.device)
    return _marked(parts(grad)[0][0], grad)


def has_nonzero(grad: Tensor | None, where: Tensor | None = None) -> bool:
    """Whether ``grad`` has an element that is not zero, or has one where ``where`` is true."""
    if grad is None:
        return False
    here = grad.detach().to_dense() if grad.layout is torch.sparse_coo else _one(grad)
    return bool((here if where is None else here[where]).count_nonzero())


def zeroed(grad: Tensor, where: Tensor | None = None) -> Tensor:
    """A copy of ``grad`` with zeros everywhere, or where ``where`` is true.

    ``where`` is boolean, of shape ``(rows,)`` or the grad's.
    """
    if where is None:
        return torch.zeros_like(grad)
    if grad.layout is not torch.sparse_coo:
        return grad.detach().index_put((where,), grad.new_zeros(()))
    indices, values = parts(grad)
    values = values.index_put((where[indices[0]],), values.new_zeros(()))
    return torch.sparse_coo_tensor(indices, values, grad.shape, is_coalesced=True)


def _one(grad: Tensor) -> Tensor:
    (only,) = parts(grad)
    return only


def _marked(rows: Tensor, grad: Tensor) -> Tensor:
    marked = torch.zeros(grad.shape[0], dtype=torch.bool, device=grad.device)
    marked[rows] = True
    return marked
