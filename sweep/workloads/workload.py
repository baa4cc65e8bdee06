"""What is trained: a model, its data, its loss, and the names of what the schedule freezes.

The built-in workloads and the import of a user's own are in `sweep.workloads.built_in`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sweep.errors import WorkloadError, nearest

Loss = Callable[[nn.Module, Any, int], Tensor]
"""``loss(model, data, step)``: the scalar to call ``backward`` on; ``step`` counts from 0."""

Score = Callable[[nn.Module, Any], float]
"""``score(model, data)``: how good the trained model is on data held out; larger is better."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A model, its data, its loss, and the names of the parameters that the schedule freezes.

    Attributes:
        model: any module. A trial trains this very object.
        data: whatever the loss takes; a trial only reads it.
        loss: ``loss(model, data, step)``, one forward pass.
        frozen: names as in ``model.named_parameters()``, at least one.
        detached_loss: the same forward pass with the frozen layer's output detached, for a
            model that does it itself; where it is None, forward hooks do it.
        score: how good the model is, asked for after training, in evaluation mode and without
            grads; None where it has no score. A stack's is that of each replicate alone.
        replicates: how many workloads this one is, stacked along the first dimension of every
            parameter; see `sweep.trial.stack`.
        each_loss: for a stack, the loss of each replicate at the latest forward pass, given
            what ``loss`` was.

    Raises WorkloadError for a name that the model lacks, with the nearest names.
    """

    model: nn.Module
    data: Any
    loss: Loss
    frozen: tuple[str, ...]
    detached_loss: Loss | None = None
    score: Score | None = None
    pure: bool = False
    replicates: int = 1
    each_loss: Callable[[nn.Module, Any, int], list[float]] | None = None

    def __post_init__(self) -> None:
        if not self.frozen:
            raise WorkloadError("A workload names at least one parameter to freeze; none came.")
        known = dict(self.model.named_parameters())
        for name in self.frozen:
            if name not in known:
                close = nearest(name, known) or list(known)
                raise WorkloadError(
                    f"The workload freezes {name!r}, which the model has not. "
                    f"Did you mean {' or '.join(close[:4])}?"
                )

    def frozen_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that the schedule freezes, by name."""
        return {n: p for n, p in self.model.named_parameters() if n in self.frozen}

    def other_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that are always attached, by name."""
        return {n: p for n, p in self.model.named_parameters() if n not in self.frozen}

    def frozen_modules(self) -> list[nn.Module]:
        """The modules that own a frozen parameter, each once."""
        owners = dict.fromkeys(name.rpartition(".")[0] for name in self.frozen)
        return [self.model.get_submodule(owner) for owner in owners]
