"""What decides, as far as is known, whether a step moves a parameter that is to keep still.

One that kept still, or moved, does so again in the same circumstances: it need not be copied,
or rehearsed, a second time. Where that proves wrong it is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from sweep.watching.states import State


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The circumstances of a parameter at one step.

    Attributes:
        states: what the step finds in its grad, in what is to keep still of it.
        group: which of the optimizer's groups it is in.
        has_state: whether the optimizer keeps anything for it.
        has_rate, has_decay: whether its group has a learning rate and weight decay other than 0.
        fed: whether autograd has ever brought it a gradient under watch.
    """

    states: frozenset[State]
    group: int
    has_state: bool
    has_rate: bool
    has_decay: bool
    fed: bool

    @classmethod
    def of(
        cls,
        parameter: Tensor,
        states: frozenset[State],
        optimizer: Optimizer,
        groups: Groups,
        *,
        fed: bool,
    ) -> Circumstances:
        """Those of ``parameter`` now; ``groups`` are the optimizer's."""
        index, group = groups[id(parameter)]
        return cls(
            states=states,
            group=index,
            has_state=bool(optimizer.state.get(parameter)),
            has_rate=bool(group.get("lr", True)),
            has_decay=bool(group.get("weight_decay", False)),
            fed=fed,
        )


Groups = Mapping[int, tuple[int, Mapping[str, Any]]]
"""By the identity of a parameter: its group and that one's number."""


def groups_of(optimizer: Optimizer) -> Groups:
    """The groups of everything that ``optimizer`` holds now."""
    return {
        id(parameter): (index, group)
        for index, group in enumerate(optimizer.param_groups)
        for parameter in group["params"]
    }


class Experience:
    """Whether each parameter moved when it was last in some circumstances."""

    def __init__(self) -> None:
        self._moved: dict[tuple[int, Circumstances], bool] = {}

    def moved(self, parameter: Tensor, circumstances: Circumstances) -> bool | None:
        """Whether it did; None if it has not been in those circumstances."""
        return self._moved.get((id(parameter), circumstances))

    def note(self, parameter: Tensor, circumstances: Circumstances, *, moved: bool) -> None:
        """Remembers whether it did."""
        self._moved[id(parameter), circumstances] = moved

    def forget(self, gone: int) -> None:
        """Lets go of what is remembered of the tensor of that identity."""
        self._moved = {key: moved for key, moved in self._moved.items() if key[0] != gone}
