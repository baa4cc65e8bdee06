"""How far a step moved a parameter, or those rows and elements of it that were to keep still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from sweep.trial.probe import STILL, Change, bits, change_between, moved_elements, together
from sweep.watching.digests import weighted, words
from sweep.watching.findings import RowSet

_AT_ONCE, _AT_ONCE_THERE = 1 << 17, 1 << 24
"""Elements that are compared at a time, by a processor and by an accelerator: the differences of
as many are kept in float64, for the processor in its cache."""

_TELLING = 8
"""Elements of a row that are compared first: what moves a row moves most of them as a rule."""


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
    if not one.numel():
        return Movement(STILL, RowSet(np.zeros(len(one), dtype=bool)))
    at_once = max(1, len(one) * _at_once(one) // one.numel())
    asked = repeat(None) if where is None else torch.split(where, at_once)
    found = [
        _of_rows(*piece)
        for piece in zip(
            torch.split(one, at_once), torch.split(other, at_once), asked, strict=False
        )
    ]
    change = together(each for each, _ in found)
    return Movement(change, RowSet(torch.cat([moved for _, moved in found]).cpu().numpy()))


def _of_rows(before: Tensor, after: Tensor, where: Tensor | None) -> tuple[Change, Tensor]:
    """The change of some rows, and which of them moved; ``where`` is as `movement`'s."""
    moved = _rows_that_differ(before, after)
    if where is not None and where.dim() == 1:
        moved, where = moved & where, None
    if not bool(moved.any()):
        return STILL, moved
    change = _of_chosen(before, after, moved) if where is None else None
    if change is not None:
        return change, moved
    if where is not None or not bool(moved.all()):
        before, after = before[moved], after[moved]
    if where is not None:
        where = where[moved]
        before, after = before.masked_fill(~where, 0), after.masked_fill(~where, 0)
    change = _change(before, after)
    if where is not None or not math.isfinite(change.max_change):  # NaN may only seem to move
        differ = moved_elements(before, after).reshape(len(before), -1)
        moved[moved.clone()] = differ.any(dim=1)
    return change, moved


def _of_chosen(before: Tensor, after: Tensor, moved: Tensor) -> Change | None:
    """The change of the rows ``moved``, by `_difference`."""
    rows = None if bool(moved.all()) else moved.reshape(-1, *[1] * (before.dim() - 1))
    return _difference(before, after, rows)


def _rows_that_differ(before: Tensor, after: Tensor) -> Tensor:
    one, other = (bits(each).reshape(len(each), -1) for each in (before, after))
    differ = (one[:, :_TELLING] != other[:, :_TELLING]).any(dim=1)
    if not differ.all():
        rest = ~differ
        left, right = words(one[rest]), words(other[rest])
        differ[rest] = weighted(left - right) != 0
    return differ


def _change(before: Tensor, after: Tensor) -> Change:
    """As `sweep.trial.probe.change_between`, in pieces that stay in the processor's cache."""
    at_once = _at_once(before)
    flat = (before.reshape(-1), after.reshape(-1))
    pieces = zip(*(torch.split(each, at_once) for each in flat), strict=True)
    return together(_difference(*piece) or change_between(*piece) for piece in pieces)


def _at_once(tensor: Tensor) -> int:
    """Elements that are compared at a time; an accelerator is waited for each time."""
    return _AT_ONCE if tensor.device.type == "cpu" else _AT_ONCE_THERE


def _difference(before: Tensor, after: Tensor, chosen: Tensor | None = None) -> Change | None:
    """As `sweep.trial.probe.change_between`; None where that is to be asked itself.

    ``chosen``, which can be expanded to the tensors' shape, says which elements are meant.
    """
    if before.is_complex() or not before.numel():
        return None
    difference = after.double().sub_(before.double())
    if chosen is not None:
        difference.masked_fill_(~chosen, 0.0)
    least, most = torch.aminmax(difference)
    largest = max(-least.item(), most.item())
    if not math.isfinite(largest) or not largest:
        return None
    flat = difference.reshape(-1)
    return Change(True, largest, math.sqrt(torch.dot(flat, flat).item()))
