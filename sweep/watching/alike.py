"""Small tensors of one shape, type and device are looked at together: models have many of them."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

import numpy as np
import torch
from torch import Tensor

from sweep.watching.digests import SMALL
from sweep.watching.parts import is_plain

Layout = tuple[tuple[torch.Size, torch.dtype, torch.device], ...]
"""The shape, type and device of each part of a tensor."""

_DTYPE, _VERSION = attrgetter("dtype"), attrgetter("_version")


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
