"""Small numbers that stand for the content of tensors, so that no copy need be kept.

A checksum differs wherever a bit does, but for one case in 2**64: it is the sum of the bits,
eight bytes at a time, each times an odd weight of its place. A sample's checksum is that of a
few hundred elements. Tensors of one shape are taken together, as models have many small ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sweep.trial.probe import bits

SMALL = 4096
"""Elements up to which a tensor is looked at whole, and together with others of its shape."""

_SAMPLE = 256
_AT_ONCE = 1 << 20  # elements that are looked at between two chances to be done
_PLACES = 1 << 16
_WORD = 8  # bytes
_NORMED = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def checksums(tensors: Sequence[Tensor]) -> list[int]:
    """The checksum of each tensor's bits. Reads only; waits once for each accelerator."""
    return _each(tensors, _sums, lambda tensor: _sum(_flat(tensor)), 0)


def sample_checksums(tensors: Sequence[Tensor]) -> list[int]:
    """The same of a few hundred elements of each, always those of the same places.

    Of a small tensor it is that of the whole.
    """
    return checksums([_sample(tensor) if tensor.numel() > SMALL else tensor for tensor in tensors])


def have_nonzero(tensors: Sequence[Tensor]) -> list[bool]:
    """Whether each tensor has an element that is not zero; NaN is not."""
    return [bool(flag) for flag in _each(tensors, nonzero_rows, nonzero_flag, 0)]


def nonzero_flag(tensor: Tensor) -> Tensor:
    """Whether some element is not zero, as a tensor of no dimension, on the tensor's device."""
    if tensor.numel() <= SMALL or tensor.device.type != "cpu" or not tensor.is_floating_point():
        return tensor.any()
    found = _sample(tensor).any()
    for piece in () if found else torch.split(_flat(tensor), _AT_ONCE):
        least, most = torch.aminmax(piece)  # several times as fast as any()
        found = (least != 0) | (most != 0)
        if found:
            break
    return found


def nonzero_rows(values: Tensor) -> Tensor:
    """In which rows of a tensor some element is not zero, as booleans of shape ``(rows,)``.

    A row is an index along the first dimension; a tensor without any has one.
    """
    shape = values.shape[:1] or (1,)
    if not values.numel():
        return torch.zeros(shape, dtype=torch.bool, device=values.device)
    rows = values.reshape(*shape, -1)
    doubtful = row_checksums(rows) != 0  # zero bits throughout; minus zero has one
    if doubtful.any():
        asked = rows if doubtful.all() else rows[doubtful]
        doubtful[doubtful.clone()] = _nonzero_in_each(asked)
    return doubtful


def row_checksums(rows: Tensor) -> Tensor:
    """The checksum of each row of a matrix; 0 where all of its bits are."""
    at_once = max(1, _AT_ONCE // rows.shape[1])
    return torch.cat([_sums(piece) for piece in torch.split(rows, at_once)])


def directions(tensors: Sequence[Tensor]) -> list[tuple[float, float]]:
    """Two weighted sums of a few hundred elements of each tensor.

    Both are the same for the same bits, and their ratio is for a multiple of the tensor.
    """
    samples = [_sample(tensor) if tensor.numel() > SMALL else tensor for tensor in tensors]
    pairs = _each(samples, _directions, lambda tensor: _directions(tensor.unsqueeze(0)), (0.0, 0.0))
    return [(float(one), float(other)) for one, other in pairs]


def _each(
    tensors: Sequence[Tensor],
    together: Callable[[Tensor], Tensor],
    alone: Callable[[Tensor], Tensor],
    of_none: Any,
) -> list[Any]:
    """What the two functions give, in order: small tensors of one shape go by ``together``.

    That one takes them stacked, ``alone`` takes one; what they give is taken from each device
    at once. A tensor without elements has ``of_none``.
    """
    kinds: dict[Any, list[int]] = {}
    for index, tensor in enumerate(tensors):
        if not tensor.numel():
            continue
        small = tensor.numel() <= SMALL
        kind = (tensor.shape, tensor.dtype, tensor.device) if small else index
        kinds.setdefault(kind, []).append(index)
    waiting: dict[torch.device, tuple[list[int], list[Tensor]]] = {}
    for kind, indices in kinds.items():
        first = tensors[indices[0]]
        if kind == indices[0]:
            found = alone(first)
            found = found.reshape(1, *found.shape[1:])
        else:
            found = together(torch.stack([tensors[index] for index in indices]))
        places, pieces = waiting.setdefault(first.device, ([], []))
        places += indices
        pieces.append(found)
    values = [of_none] * len(tensors)
    for places, pieces in waiting.values():
        for place, value in zip(places, torch.cat(pieces).tolist(), strict=True):
            values[place] = value
    return values


def _nonzero_in_each(rows: Tensor) -> Tensor:
    if rows.dtype in _NORMED:  # several times as fast as to count, and that as any()
        elements: Tensor = torch.linalg.vector_norm(rows, ord=0, dim=1)
        return elements.bool()
    return rows.count_nonzero(dim=1).bool()


def _directions(stacked: Tensor) -> Tensor:
    """Two sums of each row, of shape ``(rows, 2)``."""
    rows = _real(stacked).reshape(len(stacked), -1).double()
    rows = rows.nan_to_num(nan=3.0, posinf=7.0, neginf=-7.0)
    places = torch.arange(1, rows.shape[1] + 1, dtype=rows.dtype, device=rows.device)
    return rows @ torch.stack([places.sin(), places.cos()], dim=1)


def _sums(stacked: Tensor) -> Tensor:
    """The checksum of each row."""
    return weighted(words(stacked.reshape(len(stacked), -1)))


def words(rows: Tensor) -> Tensor:
    """The bits of each row of a matrix as whole numbers, as long as its width allows."""
    plain = bits(_real(rows)).reshape(len(rows), -1).contiguous()
    size = plain.element_size()
    if plain.shape[1] * size % _WORD or plain.storage_offset() * size % _WORD:
        return plain.long()
    return plain.view(torch.int64)


def _sum(flat: Tensor) -> Tensor:
    """The checksum of a flat tensor of any length."""
    octets = flat.view(torch.uint8)
    whole = octets.numel() // _WORD
    aligned = octets[: whole * _WORD]
    if aligned.data_ptr() % _WORD or aligned.storage_offset() % _WORD:
        aligned = aligned.clone()
    aligned = aligned.view(torch.int64)
    if octets.numel() % _WORD == 0 and whole <= _PLACES:
        return _line(aligned, 0)
    lines = whole // _PLACES
    parts = [
        _line(aligned[lines * _PLACES :], 0),
        _line(octets[whole * _WORD :].to(torch.int64), 1),
    ]
    for start in range(0, lines, _PLACES):
        block = aligned[start * _PLACES : min(lines, start + _PLACES) * _PLACES]
        parts.append(_line(weighted(block.view(-1, _PLACES), 0), 1))
    return _line(torch.cat(parts), 1)


def _line(values: Tensor, which: int) -> Tensor:
    return weighted(values.reshape(1, -1), which)


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
    flat = _flat(tensor)
    return flat[_places(flat.numel(), flat.device)]


@cache
def _places(elements: int, device: torch.device) -> Tensor:
    """Places in a tensor of so many elements, drawn once."""
    generator = torch.Generator().manual_seed(elements)
    drawn = torch.randint(elements, (_SAMPLE,), generator=generator, device="cpu")
    return drawn.sort().values.to(device)


def _flat(tensor: Tensor) -> Tensor:
    return _real(tensor).reshape(-1)


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
