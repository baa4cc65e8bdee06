"""The models of the comparison, and the ways in which their loops freeze them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

from comparison.training import Tensors

When = Callable[[int], bool]


class Layers(nn.Module):
    """Two layers; the output of the first is detached while ``frozen``."""

    def __init__(self, first: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6) if first is None else first
        self.second = nn.Linear(6, 2)
        self.frozen = False

    def forward(self, x: Tensor) -> Tensor:
        """Of shape (examples, 2), for ``x`` of (examples, 4)."""
        hidden: Tensor = self.first(x)
        scores: Tensor = self.second(torch.relu(hidden.detach() if self.frozen else hidden))
        return scores


class Branches(nn.Module):
    """Two branches; the first is multiplied by 0 while ``frozen``, as DDP users do.

    DDP demands that every parameter takes part in the loss. The gradient is all zeros then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 2)
        self.second = nn.Linear(4, 2)
        self.frozen = False

    def forward(self, x: Tensor) -> Tensor:
        """Of shape (examples, 2), for ``x`` of (examples, 4)."""
        first: Tensor = self.first(x)
        second: Tensor = self.second(x)
        return second + first * (0.0 if self.frozen else 1.0)


class Masked(nn.Module):
    """One layer, of whose weights some are pruned: multiplied by 0 in the forward pass."""

    def __init__(self, mask: list[list[float]]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(len(mask), len(mask[0])))
        self.mask = torch.tensor(mask)

    def forward(self, x: Tensor) -> Tensor:
        """Of shape (examples, rows of the mask)."""
        return functional.linear(x, self.weight * self.mask)


class Gan(nn.Module):
    """A generator and a discriminator that take turns in one optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Linear(4, 4)
        self.discriminator = nn.Linear(4, 1)
        self.generators_turn = False

    def forward(self, noise: Tensor) -> Tensor:
        """What the player whose turn it is wants to be small, of shape (examples, 1)."""
        made = self.generator(noise)
        if self.generators_turn:
            return functional.softplus(-self.discriminator(made))
        real = self.discriminator(noise.abs())
        return functional.softplus(-real) + functional.softplus(self.discriminator(made.detach()))


def always(step: int) -> bool:
    """From the first step on."""
    return True


def never(step: int) -> bool:
    """On no step."""
    return False


def later(step: int) -> bool:
    """From step 3 on: there is history by then."""
    return step >= 3


def odd(step: int) -> bool:
    """On odd steps; what it does on the even ones is legitimate."""
    return step % 2 == 1


def switch(when: When) -> Callable[[nn.Module, int], None]:
    """Freezes by the model's own ``frozen``."""

    def freeze(model: nn.Module, step: int) -> None:
        model.frozen = when(step)  # type: ignore[assignment]

    return freeze


def requires_grad(when: When) -> Callable[[nn.Module, int], None]:
    """Freezes ``first`` by ``requires_grad``."""

    def freeze(model: nn.Module, step: int) -> None:
        model.get_submodule("first").requires_grad_(not when(step))

    return freeze


def take_turns(model: nn.Module, step: int) -> None:
    """The generator's turn on odd steps, with the discriminator switched off."""
    model.generators_turn = odd(step)  # type: ignore[assignment]
    model.get_submodule("discriminator").requires_grad_(not odd(step))


def idle_player(model: nn.Module, step: int) -> Tensors:
    """The player whose turn it is not."""
    return _inside(model, "discriminator" if odd(step) else "generator")


def first_layer(when: When) -> Callable[[nn.Module, int], Tensors]:
    """The parameters and buffers of ``first``, on these steps."""
    return lambda model, step: _inside(model, "first") if when(step) else {}


def nothing(model: nn.Module, step: int) -> Tensors:
    """Everything may move."""
    return {}


def rows(*indices: int) -> Callable[[nn.Module, int], Tensors]:
    """These rows of ``weight``, on every step."""
    return lambda model, step: {
        f"weight[{row}]": model.get_parameter("weight").detach()[row] for row in indices
    }


def elements(*indices: tuple[int, int]) -> Callable[[nn.Module, int], Tensors]:
    """These single weights, on every step."""
    return lambda model, step: {
        f"weight[{row},{column}]": model.get_parameter("weight").detach()[row, column]
        for row, column in indices
    }


def zero_by_hook(model: nn.Module) -> nn.Module:
    """``model`` with a hook on each parameter of ``first`` that turns its gradient into zeros."""
    for parameter in model.get_submodule("first").parameters():
        parameter.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]
    return model


def _inside(model: nn.Module, module: str) -> Tensors:
    named = chain(model.named_parameters(), model.named_buffers())
    return {name: tensor for name, tensor in named if name.startswith(f"{module}.")}
