"""Small numbers that stand for the content of tensors, so that no copy need be kept.

A checksum differs wherever a bit does, but for one case in 2**64: it is the sum of the bits,
eight bytes at a time, each times an odd weight of its place. A sample's checksum is that of a
few hundred elements. Small tensors of one shape are taken together, as models have many. A row is
an index along the first dimension of what a process holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from sweep.trial.probe import bits
from sweep.watching.parts import is_plain, parts

SMALL = 4096
"""Elements up to which a tensor is looked at whole, and together with others of its shape."""

_SAMPLE = 256
_AT_ONCE = 1 << 20  # elements that are looked at between two chances to be done
_PLACES = 1 << 16
_WORD = 8  # bytes
_NORMED = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_DTYPE, _VERSION = attrgetter("dtype"), attrgetter("_version")

_Answer = TypeVar("_Answer")
Layout = tuple[tuple[torch.Size, torch.dtype, torch.device], ...]
"""The shape, type and device of each part of a tensor."""


class LikeTensors:
    """Small tensors of one layout; ``keys`` are their identities, of shape ``(tensors,)``."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self.keys = np.fromiter(map(id, tensors), np.int64, len(tensors))
        self.layout = layout_of(tensors[0])

    def stacked(self) -> Tensor | None:
        """Copies of them as one tensor; None if they are not alike any more."""
        types, dtypes = set(map(type, self.tensors)), set(map(_DTYPE, self.tensors))
        first = self.tensors[0]
        if not is_plain(first) or len(types | dtypes) > 2 or layout_of(first) != self.layout:
            return None
        try:
            return torch.stack(self.tensors)
        except RuntimeError:  # one has another shape, or is elsewhere
            return None

    def versions(self) -> np.ndarray:
        """How often each has been written to."""
        return np.fromiter(map(_VERSION, self.tensors), np.int64, len(self.tensors))


def sorted_out(tensors: Iterable[Tensor]) -> tuple[list[LikeTensors], list[Tensor]]:
    """Those that are alike and small, and the others."""
    found: dict[object, list[Tensor]] = {}
    others = []
    for tensor in tensors:
        small = is_plain(tensor) and 0 < tensor.numel() <= SMALL and not tensor.is_complex()
        if small and not tensor.is_inference():
            found.setdefault((type(tensor), layout_of(tensor)), []).append(tensor)
        else:
            others.append(tensor)
    return [LikeTensors(each) for each in found.values()], others


def layout_of(*parts: Tensor) -> Layout:
    """The layout of a tensor with those parts."""
    return tuple((part.shape, part.dtype, part.device) for part in parts)


def checksums(tensors: Sequence[Tensor]) -> list[int]:
    """The checksum of each tensor's bits. Reads only; waits once for each accelerator."""
    return _each(tensors, row_checksums, 0)


def sample_checksums(tensors: Sequence[Tensor]) -> list[int]:
    """The same of a few hundred elements of each, always those of the same places.

    Of a small tensor it is that of the whole.
    """
    return checksums([_sample(tensor) if tensor.numel() > SMALL else tensor for tensor in tensors])


def have_nonzero(tensors: Sequence[Tensor]) -> list[bool]:
    """Whether each tensor has an element that is not zero; NaN is not."""
    return [bool(flag) for flag in _each(tensors, nonzero_rows, 0, alone=nonzero_flag)]


def nonzero_flag(tensor: Tensor) -> Tensor:
    """Whether some element is not zero, as a tensor of no dimension, on the tensor's device."""
    if tensor.numel() <= SMALL or tensor.device.type != "cpu" or not tensor.is_floating_point():
        return tensor.any()
    found = _sample(tensor).any()
    for piece in () if found else torch.split(tensor.reshape(-1), _AT_ONCE):
        least, most = torch.aminmax(piece)  # several times as fast as any()
        found = (least != 0) | (most != 0)
        if found:
            break
    return found


def nonzero_rows(values: Tensor) -> Tensor:
    """In which rows of a tensor some element is not zero, as booleans of shape ``(rows,)``.

    A tensor without any dimension has one row.
    """
    shape = values.shape[:1] or (1,)
    if not values.numel():
        return torch.zeros(shape, dtype=torch.bool, device=values.device)
    rows = values.reshape(*shape, -1)
    doubtful = row_checksums(rows) != 0  # zero bits throughout; minus zero has one
    if doubtful.any():
        asked = rows if doubtful.all() else rows[doubtful]
        if rows.dtype in _NORMED:  # several times as fast as to count, and that as any()
            doubtful[doubtful.clone()] = torch.linalg.vector_norm(asked, ord=0, dim=1).bool()
        else:
            doubtful[doubtful.clone()] = asked.count_nonzero(dim=1).bool()
    return doubtful


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


def _one(grad: Tensor) -> Tensor:
    (only,) = parts(grad)
    return only


def _marked(rows: Tensor, grad: Tensor) -> Tensor:
    marked = torch.zeros(grad.shape[0], dtype=torch.bool, device=grad.device)
    marked[rows] = True
    return marked


def row_checksums(stacked: Tensor) -> Tensor:
    """The checksum of each row of a tensor, of shape ``(rows,)``; 0 where all of its bits are."""
    rows = stacked.resolve_conj().reshape(len(stacked), -1)
    at_once, columns = max(1, _AT_ONCE // rows.shape[1]), _PLACES * _WORD // rows.element_size()
    found = []
    for some in torch.split(rows, at_once):
        pieces = [weighted(words(piece)) for piece in torch.split(some, columns, dim=1)]
        found.append(pieces[0] if len(pieces) == 1 else weighted(torch.stack(pieces, dim=1), 1))
    return found[0] if len(found) == 1 else torch.cat(found)


def directions(tensors: Sequence[Tensor]) -> list[tuple[float, float]]:
    """Two weighted sums of a few hundred elements of each tensor.

    Both are the same for the same bits, and their ratio is for a multiple of the tensor.
    """
    samples = [_sample(tensor) if tensor.numel() > SMALL else tensor for tensor in tensors]
    return [(float(one), float(other)) for one, other in _each(samples, _directions, (0.0, 0.0))]


def _directions(stacked: Tensor) -> Tensor:
    """Two sums of each row, of shape ``(rows, 2)``."""
    real = torch.view_as_real(stacked.resolve_conj()) if stacked.is_complex() else stacked
    rows = real.reshape(len(stacked), -1).double().nan_to_num(nan=3.0, posinf=7.0, neginf=-7.0)
    places = torch.arange(1, rows.shape[1] + 1, dtype=rows.dtype, device=rows.device)
    return rows @ torch.stack([places.sin(), places.cos()], dim=1)


def _each(
    tensors: Sequence[Tensor],
    of_rows: Callable[[Tensor], Tensor],
    of_none: Any,
    *,
    alone: Callable[[Tensor], Tensor] | None = None,
) -> list[Any]:
    """What ``of_rows`` gives for each tensor as a row; small ones of one kind are stacked.

    ``alone`` is asked about a large one in its place, and ``of_none`` is of a tensor without
    elements.
    """
    kinds: dict[Any, list[int]] = {}
    for index, tensor in enumerate(tensors):
        if tensor.numel():
            small = tensor.numel() <= SMALL
            kind = (tensor.shape, tensor.dtype, tensor.device) if small else index
            kinds.setdefault(kind, []).append(index)
    found = []
    for kind, indices in kinds.items():
        first = tensors[indices[0]]
        if kind == indices[0] and alone is not None:
            found.append(alone(first).reshape(1))
        elif len(indices) == 1:
            found.append(of_rows(first.unsqueeze(0)))
        else:
            found.append(of_rows(torch.stack([tensors[index] for index in indices])))
    values = [of_none] * len(tensors)
    for indices, own in zip(kinds.values(), fetched(found), strict=True):
        for index, value in zip(indices, own.tolist(), strict=True):
            values[index] = value
    return values


def fetched(found: Sequence[Tensor]) -> list[Tensor]:
    """Each of those tensors on the processor; each accelerator is waited for once."""
    by_device: dict[torch.device, list[Tensor]] = {}
    for each in found:
        by_device.setdefault(each.device, []).append(each)
    there = {
        device: iter(torch.split(torch.cat(held).cpu(), list(map(len, held))))
        for device, held in by_device.items()
    }
    return [next(there[each.device]) for each in found]


def by_part(
    ask: Callable[[Sequence[Tensor]], list[_Answer]], of: Sequence[Sequence[Tensor]]
) -> Iterator[list[_Answer]]:
    """What ``ask`` answers about the parts of each; they are asked about at once."""
    answers = iter(ask([part for parts in of for part in parts]))
    for own in of:  # one by one: thousands of lists would wake the garbage collector
        yield [next(answers) for _ in own]


def words(rows: Tensor) -> Tensor:
    """The bits of each row of a matrix as whole numbers, as long as its width allows."""
    plain = bits(rows).reshape(len(rows), -1).contiguous()
    size = plain.element_size()
    if plain.shape[1] * size % _WORD:
        return plain.long()
    aligned = plain.clone() if plain.storage_offset() * size % _WORD else plain
    return aligned.view(torch.int64)


def weighted(rows: Tensor, which: int = 0) -> Tensor:
    """The sum of each row of whole numbers, each times the weight of its column, mod 2**64."""
    if rows.shape[1] > _PLACES:
        pieces = [weighted(piece, which) for piece in torch.split(rows, _PLACES, dim=1)]
        return weighted(torch.stack(pieces, dim=1), 1)
    weights = _weights(rows.device, which)[: rows.shape[1]]
    if rows.device.type == "cpu":
        return torch.mv(rows, weights)
    return (rows * weights).sum(dim=1)


@cache
def _weights(device: torch.device, which: int) -> Tensor:
    """Odd numbers drawn once, from a generator of their own."""
    generator = torch.Generator().manual_seed(which)
    drawn = torch.randint(-(2**61), 2**61, (_PLACES,), generator=generator, device="cpu")
    return (drawn * 2 + 1).to(device)


def _sample(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1)[_places(tensor.numel(), tensor.device)]


@cache
def _places(elements: int, device: torch.device) -> Tensor:
    """Places in a tensor of so many elements, drawn once."""
    generator = torch.Generator().manual_seed(elements)
    drawn = torch.randint(elements, (_SAMPLE,), generator=generator, device="cpu")
    return drawn.sort().values.to(device)
