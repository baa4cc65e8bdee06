"""The plain tensors that stand for a parameter or a grad on this process.

A DTensor (FSDP2, tensor parallel) is its local shard: no process asks another one. A tensor
that keeps its values in others, as quantized ones do, is those others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

_PLAIN = (Tensor, nn.Parameter)


class NotJudgedError(Exception):
    """A parameter that cannot be looked at; its message says why."""


def parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """The dense tensors that hold what ``tensor`` holds here, detached; most often itself.

    Raises NotJudgedError for a tensor without values (device ``meta``).
    """
    if is_plain(tensor):
        return (tensor.detach(),)
    if type(tensor) not in _PLAIN and is_traceable_wrapper_subclass(tensor):
        names, _ = tensor.__tensor_flatten__()
        kept = [getattr(tensor, name) for name in names]
        return tuple(part for each in kept if isinstance(each, Tensor) for part in parts(each))
    if tensor.is_meta:
        raise NotJudgedError("it is on the device 'meta' and has no values")
    if tensor.layout is torch.sparse_coo:
        listed = tensor.detach().coalesce()
        return listed.indices(), listed.values()
    if tensor.layout is not torch.strided:
        return (tensor.detach().to_dense(),)
    return (tensor.detach(),)


def elements_here(tensor: Tensor) -> int:
    """How many elements of the tensor this process holds."""
    local: Tensor = getattr(tensor, "_local_tensor", tensor)
    return local.numel()


def is_plain(tensor: Tensor) -> bool:
    """Whether the tensor is its own only part, and has values."""
    return type(tensor) in _PLAIN and tensor.layout is torch.strided and not tensor.is_meta


def values_of(tensor: Tensor) -> tuple[Tensor, ...]:
    """The same of a grad, without the indices of a sparse one."""
    found = parts(tensor)
    return found[1:] if tensor.layout is torch.sparse_coo else found


def one_part(tensor: Tensor) -> Tensor | None:
    """The tensor's only part, in the tensor's own shape or its shard's; None if it has several."""
    found = parts(tensor)
    return found[0] if len(found) == 1 else None


def version(tensor: Tensor) -> tuple[int, ...]:
    """How often each part has been written to, as far as torch counts that; -1 if it does not."""
    found = (tensor,) if type(tensor) in _PLAIN else parts(tensor)
    return tuple(-1 if part.is_inference() else part._version for part in found)
