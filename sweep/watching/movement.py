"""How far a step moved a parameter, or those rows and elements of it that were to keep still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sweep.trial.probe import STILL, Change, bits, change_between, moved_elements, together
from sweep.watching.findings import RowSet

_AT_ONCE = 1 << 18
"""Elements that are compared at a time: the differences of as many are kept in float64."""


@dataclass(frozen=True, slots=True)
class Movement:
    """What moved, and how far.

    ``rows`` says which rows, where only a part of the parameter was in question.
    """

    change: Change
    rows: RowSet | None = None


def movement(
    before: Sequence[Tensor], after: Sequence[Tensor], where: Tensor | None, *, by_row: bool
) -> Movement | None:
    """The movement from ``before`` to ``after``, the parts of a parameter.

    ``where`` is boolean, of shape ``(rows,)`` or the shape of the only part; None is all of it.
    ``by_row`` says whether the rows that moved are wanted. None where the two cannot be
    compared: one was made anew in another shape or type.
    """
    if [(p.shape, p.dtype) for p in before] != [(p.shape, p.dtype) for p in after]:
        return None
    if not by_row or len(before) > 1 or before[0].dim() == 0:
        change = together(map(_change, before, after))
        return Movement(change, RowSet(np.array([change.moved])) if by_row else None)
    (one,), (other,) = before, after
    moved = _rows_that_differ(one, other, where)
    if bool(moved.any()):
        change, moved = _change_of_rows(one, other, where, moved)
    else:
        change = STILL
    return Movement(change, RowSet(moved.cpu().numpy()))


def _change_of_rows(
    before: Tensor, after: Tensor, where: Tensor | None, moved: Tensor
) -> tuple[Change, Tensor]:
    """The change of the rows that differ, and which of them moved: NaN may only seem to."""
    if not bool(moved.all()):
        before, after = before[moved], after[moved]
    chosen = None if where is None or where.dim() == 1 else where[moved]
    pair = (before, after) if chosen is None else (before[chosen], after[chosen])
    change = _change(*pair)
    if not math.isfinite(change.max_change) or not change.moved:
        differ = moved_elements(before, after) & (True if chosen is None else chosen)
        moved = moved.clone()
        moved[moved.clone()] = differ.reshape(len(differ), -1).any(dim=1)
    return change, moved


def _rows_that_differ(before: Tensor, after: Tensor, where: Tensor | None) -> Tensor:
    differ = bits(before) != bits(after)
    if before.is_complex():
        differ = differ.any(dim=-1)
    if where is not None and where.dim() > 1:
        differ &= where
    rows = differ.reshape(len(before), -1).count_nonzero(dim=1) != 0  # any() is far slower
    return rows if where is None or where.dim() > 1 else rows & where


def _change(before: Tensor, after: Tensor) -> Change:
    """As `sweep.trial.probe.change_between`, in pieces that stay in the processor's cache."""
    if before.numel() <= _AT_ONCE:
        return change_between(before, after)
    flat = (before.reshape(-1), after.reshape(-1))
    pieces = range(0, before.numel(), _AT_ONCE)
    return together(change_between(*(each[i : i + _AT_ONCE] for each in flat)) for i in pieces)
