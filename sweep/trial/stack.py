"""The built-in workloads once for each of several seeds, as one workload whose parts never meet.

Every tensor has the replicate as its first dimension. The products are laid out as
`torch.nn.functional.linear` lays out its own, so that each replicate's bits come out the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sweep.trial.probe import bits
from sweep.workloads.built_in import build_workload
from sweep.workloads.digits import Digits
from sweep.workloads.workload import Workload

Data = tuple[Tensor, Tensor]


class StackedNet(nn.Module):
    """`sweep.workloads.built_in.ArticleNet` once for each replicate."""

    def __init__(self, layer1: Tensor, layer2: Tensor) -> None:
        """Copies the weights, ``(replicates, hidden, features)`` and ``(.., classes, hidden)``."""
        super().__init__()
        self.layer1 = _StackedLinear(layer1)
        self.layer2 = _StackedLinear(layer2)
        self._log_probabilities = torch.empty(0)

    def forward(self, x: Tensor, detach_layer1: bool = False) -> Tensor:
        """The logs of the classes' probabilities, ``(replicates, examples, classes)``.

        ``x`` is ``(replicates, examples, features)``.
        """
        hidden = self.layer1(x)
        if detach_layer1:
            hidden = hidden.detach()
        log_probabilities = functional.log_softmax(self.layer2(torch.relu(hidden)), dim=-1)
        self._log_probabilities = log_probabilities.detach()
        return log_probabilities

    def losses(self, y: Tensor) -> list[float]:
        """The cross-entropy of each replicate at the latest forward pass with its classes in ``y``.

        Taken one by one: a mean over several at once sums in another order.
        """
        alone = zip(self._log_probabilities, y, strict=True)
        return [functional.nll_loss(each, target).item() for each, target in alone]


def apart(tensor: Tensor, replicates: int) -> Sequence[Tensor]:
    """The part of each of ``replicates``; of one alone, ``tensor`` itself."""
    return (tensor,) if replicates == 1 else tensor.unbind()


def digests(parameters: Iterable[Tensor], replicates: int = 1) -> tuple[bytes, ...]:
    """A hash of the bits of ``parameters``, for each trial that they hold; one NaN is another."""
    hashes = [hashlib.blake2b(digest_size=16) for _ in range(replicates)]
    for parameter in parameters:
        for hashed, part in zip(
            hashes, apart(_one_nan(parameter.detach()), replicates), strict=True
        ):
            hashed.update(bits(part.contiguous()).cpu().numpy().data)
    return tuple(hashed.digest() for hashed in hashes)


def _one_nan(tensor: Tensor) -> Tensor:
    nan = tensor.isnan()
    return tensor.masked_fill(nan, torch.nan) if bool(nan.any()) else tensor


def build_stack(name: str, seeds: Sequence[int], device: str = "cpu") -> Workload:
    """A fresh stack of the workload ``name``, one replicate for each of ``seeds``.

    Of one seed it is the workload itself; of several it must be a built-in one. Its loss is the
    sum of the replicates' own, so that each gets the grads it would get alone.
    """
    if len(seeds) == 1:
        return build_workload(name, seeds[0], device)
    data, layer1, layer2 = _replicates(name, tuple(seeds), device)
    return Workload(
        StackedNet(layer1, layer2),
        data,
        _loss,
        ("layer1.weight",),
        _detached_loss,
        replicates=len(seeds),
        each_loss=_each_loss,
    )


def replicates_alone(
    stack: Workload, name: str, seeds: Sequence[int], device: str = "cpu"
) -> Iterator[Workload]:
    """Each replicate of ``stack`` as the workload that it would be alone, with the weights it has.

    Of one seed it is ``stack`` itself.
    """
    if len(seeds) == 1:
        yield stack
        return
    for number, seed in enumerate(seeds):
        alone = build_workload(name, seed, device)
        parts = {key: weight[number] for key, weight in stack.model.state_dict().items()}
        alone.model.load_state_dict(parts)
        yield alone


@dataclass(slots=True)
class _StackedData:
    """What each replicate trains on at a step, stacked; of full batches that is one pair."""

    alone: tuple[Any, ...]
    _step: int = -1
    _batch: Data | None = field(default=None)

    def batch(self, step: int) -> Data:
        """``x``, ``(replicates, examples, features)``, and classes, ``(replicates, examples)``."""
        if self._batch is None or (self._is_minibatched and step != self._step):
            batches = [each.batch(step) if self._is_minibatched else each for each in self.alone]
            x, y = (torch.stack([batch[i] for batch in batches]) for i in (0, 1))
            self._step, self._batch = step, (x, y)
        return self._batch

    @property
    def _is_minibatched(self) -> bool:
        return isinstance(self.alone[0], Digits)


@lru_cache(maxsize=2)  # a replay builds its workload several times over, and data is only read
def _replicates(
    name: str, seeds: tuple[int, ...], device: str
) -> tuple[_StackedData, Tensor, Tensor]:
    alone = [build_workload(name, seed, device) for seed in seeds]
    weights = [
        torch.stack([parameter.detach() for parameter in parameters])
        for parameters in zip(*(workload.model.parameters() for workload in alone), strict=True)
    ]
    return _StackedData(tuple(workload.data for workload in alone)), weights[0], weights[1]


def _loss(model: nn.Module, data: _StackedData, step: int) -> Tensor:
    x, y = data.batch(step)
    return _summed_loss(model(x), y)


def _detached_loss(model: nn.Module, data: _StackedData, step: int) -> Tensor:
    x, y = data.batch(step)
    return _summed_loss(model(x, detach_layer1=True), y)


def _each_loss(model: nn.Module, data: _StackedData, step: int) -> list[float]:
    return cast("StackedNet", model).losses(data.batch(step)[1])


def _summed_loss(log_probabilities: Tensor, y: Tensor) -> Tensor:
    each = functional.nll_loss(log_probabilities.flatten(0, 1), y.flatten(), reduction="none")
    return each.view(y.shape).mean(dim=1).sum()


class _StackedLinear(nn.Module):
    """A linear layer without bias for each replicate."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())

    def forward(self, x: Tensor) -> Tensor:
        """``(replicates, examples, outputs)`` of ``x`` ``(replicates, examples, inputs)``."""
        outputs: Tensor = _StackedProduct.apply(x, self.weight)  # type: ignore[no-untyped-call]
        return outputs


class _StackedProduct(torch.autograd.Function):
    """``x @ weight.T`` for each replicate, with its grads in a linear layer's own layout.

    Autograd's grads of the same product come out transposed, and sums in another order.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.bmm(x, weight.mT)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = ctx.needs_input_grad
        return (
            torch.bmm(grad, weight) if of_x else None,
            torch.bmm(grad.mT, x) if of_weight else None,
        )
