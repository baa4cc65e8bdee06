"""A user's training loop that can be run step by step, and what it truly does.

The truth is read off the bits of the tensors before and after each step, and owes nothing to
any of the tools that are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sweep.values.words import ZeroGrad

STEPS = 6

Tensors = Mapping[str, Tensor]
Finding = tuple[int | None, str]
"""A step and a name; the step is None where a name is found fault with as such."""


def _pass(model: nn.Module, step: int) -> None:
    """What a loop does at the places where it does nothing of its own."""


def _no_tensors(model: nn.Module, step: int) -> Tensors:
    return {}


@dataclass(kw_only=True)
class Training:
    """A model and its loop; one `step` after the other trains it.

    Attributes:
        model: called with the batch alone; switched by ``freeze``, never by arguments.
        make_optimizer: builds the optimizer from parameters.
        batch: what the model is given, by step.
        trained: the parameters that the optimizer is given.
        loss: a scalar, of what the model returns.
        still: the tensors that must keep still on a step, by name: parameters, buffers, or
            views of parts of them.
        must_move: names of the parameters that must have moved in the end.
        prepare: what the loop does to itself as a step begins: to its model and optimizer.
        freeze, after_backward, after_step: what the loop does at these points.
        clear: what it does with the grads after each step.
        closure: whether ``step`` is given a closure, which clears the grads itself.
    """

    model: nn.Module
    make_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    batch: Callable[[int], Tensor]
    trained: Callable[[nn.Module], Iterable[nn.Parameter]] = nn.Module.parameters
    loss: Callable[[Tensor], Tensor] = lambda output: output.square().mean()
    still: Callable[[nn.Module, int], Tensors] = _no_tensors
    must_move: tuple[str, ...] = ()
    prepare: Callable[[Training, int], None] = lambda training, step: None
    freeze: Callable[[nn.Module, int], None] = _pass
    after_backward: Callable[[nn.Module, int], None] = _pass
    after_step: Callable[[nn.Module, int], None] = _pass
    clear: ZeroGrad = ZeroGrad.NONE
    closure: bool = False

    def __post_init__(self) -> None:
        self.optimizer = self.make_optimizer(self.trained(self.model))

    def run(self, steps: range = range(STEPS)) -> None:
        """Trains for these steps."""
        for step in steps:
            self.step(step)

    def step(self, step: int) -> None:
        """One turn of the loop."""
        self.begin(step)
        if self.closure:
            self.optimizer.step(lambda: self._closure(step))
        else:
            self._backward(step)
            self.optimizer.step()
            self._clear()
        self.after_step(self.model, step)

    def begin(self, step: int) -> None:
        """What comes before the forward pass of this step."""
        self.prepare(self, step)
        self.freeze(self.model, step)

    def copy_of_optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """An optimizer for other parameters that has this one's history."""
        copy = self.make_optimizer(parameters)
        copy.load_state_dict(self.optimizer.state_dict())
        return copy

    def _closure(self, step: int) -> float:
        self._clear()
        return self._backward(step).item()

    def _backward(self, step: int) -> Tensor:
        loss = self.loss(self.model(self.batch(step)))
        loss.backward()  # type: ignore[no-untyped-call]
        self.after_backward(self.model, step)
        return loss

    def _clear(self) -> None:
        if self.clear is not ZeroGrad.NEVER:
            self.optimizer.zero_grad(set_to_none=self.clear is ZeroGrad.NONE)


@dataclass(frozen=True)
class Truth:
    """What a loop does, by the bits.

    Attributes:
        faults: each step on which a tensor moved that must keep still, with its name; for a
            parameter that must move and never did, its name with None.
        ask_at: the step on which a tool that looks at one moment learns most: the first
            fault's, or else the first on which anything must keep still.
    """

    faults: frozenset[Finding]
    ask_at: int

    def confirms(self, finding: Finding) -> bool:
        """Whether there is such a fault."""
        return any(means(finding, fault) for fault in self.faults)


def means(finding: Finding, fault: Finding) -> bool:
    """Whether what a tool found is the fault; where either has no step, the name decides.

    A row that a tool names, such as ``weight[0]``, has its elements in it: ``weight[0,1]``.
    """
    (step, name), (at, named) = finding, fault
    is_of_row = name.endswith("]") and named.startswith(f"{name[:-1]},")
    return (name == named or is_of_row) and (step == at or None in (step, at))


def truth(training: Training) -> Truth:
    """Runs the loop, with no tool near it, and compares the bits."""
    faults: list[Finding] = []
    asked = []
    start = _bits(dict(training.model.named_parameters()))
    for step in range(STEPS):
        still = training.still(training.model, step)
        before = _bits(still)
        asked += [step] if still else []
        training.step(step)
        after = _bits(still)
        faults += [(step, name) for name in still if before[name] != after[name]]
    end = _bits(dict(training.model.named_parameters()))
    steps = [step for step, _ in faults if step is not None] + asked + [0]
    faults += [(None, name) for name in training.must_move if start[name] == end[name]]
    return Truth(frozenset(faults), ask_at=steps[0])


def _bits(tensors: Mapping[str, Any]) -> dict[str, bytes]:
    return {
        name: tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        for name, tensor in tensors.items()
    }


def batch_of(*shape: int) -> Callable[[int], Tensor]:
    """Standard normal batches of this shape, the same ones for everybody."""
    return lambda step: torch.randn(*shape, generator=torch.Generator().manual_seed(step))
