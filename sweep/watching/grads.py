"""What a gradient holds: all zeros or not, and in which rows.

A row is an index along the first dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sweep.values.words import GradState


def grad_state(grad: Tensor | None, rows: Tensor | None = None) -> GradState:
    """What an optimizer finds in ``grad``, or in those of its rows that ``rows`` marks.

    ``rows`` is boolean, of shape ``(rows,)``.
    """
    if grad is None:
        return GradState.NONE
    if rows is None:
        return GradState.NONZERO if has_nonzero(grad) else GradState.ZERO
    found = reached_rows(grad, zeros_count=False) & rows
    return GradState.NONZERO if bool(found.any()) else GradState.ZERO


def has_nonzero(grad: Tensor) -> bool:
    """Whether some element is not zero; NaN is not."""
    return bool(_values(grad).any())


def reached_rows(grad: Tensor, *, zeros_count: bool) -> Tensor:
    """Which rows ``grad`` reaches, as a boolean tensor of shape ``(rows,)``.

    A dense one reaches those in which it is not all zeros; a sparse one those that it lists,
    if ``zeros_count``.
    """
    if grad.layout is not torch.sparse_coo:
        return _nonzero_rows(_values(grad))
    listed = grad.detach().coalesce()
    indices, values = listed.indices()[0], listed.values()
    if not zeros_count:
        indices = indices[_nonzero_rows(values)]
    reached = torch.zeros(grad.shape[0], dtype=torch.bool, device=grad.device)
    reached[indices] = True
    return reached


def zeroed(grad: Tensor, rows: Tensor | None = None) -> Tensor:
    """A copy of ``grad`` with zeros everywhere, or in the rows that ``rows`` marks."""
    if rows is None:
        return torch.zeros_like(grad)
    if grad.layout is not torch.sparse_coo:
        copy = grad.detach().clone()
        copy[rows] = 0
        return copy
    listed = grad.detach().coalesce()
    values = listed.values().clone()
    values[rows[listed.indices()[0]]] = 0
    return torch.sparse_coo_tensor(listed.indices(), values, listed.shape, is_coalesced=True)


def _values(grad: Tensor) -> Tensor:
    grad = grad.detach()
    return grad.coalesce().values() if grad.layout is torch.sparse_coo else grad


def _nonzero_rows(values: Tensor) -> Tensor:
    return values.unsqueeze(-1).flatten(1).ne(0).any(dim=1)
