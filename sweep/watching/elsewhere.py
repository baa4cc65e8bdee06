"""What moves where no watched step is looking: other optimizers, loops, forward passes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from sweep.watching.digests import checksums
from sweep.watching.families import past_the_compiler, steps_under_way
from sweep.watching.roster import Subject, clean
from sweep.watching.stepping import Shared, Stepping


class Elsewhere:
    """Listens to optimizers that are not watched, and looks at what no watched one holds.

    Attributes:
        by_others: by the name of a parameter: how many steps of which class moved it.
        outside: how often a parameter that no watched optimizer holds had moved otherwise.
        buffers: how often a buffer of a frozen module had moved from one step to the next.
    """

    def __init__(self, shared: Shared, steppings: Sequence[Stepping]) -> None:
        """``steppings`` are the watched optimizers; puts no hook on yet."""
        self.by_others: dict[str, Counter[str]] = {}
        self.outside: Counter[str] = Counter()
        self.buffers: Counter[str] = Counter()
        self._shared = shared
        self._steppings = steppings
        self._undo = ExitStack()
        self._sums: dict[str, int] = {}  # of the buffers, by name
        self._with_buffers: list[tuple[str, nn.Module]] = []
        self.refresh()

    def listen(self) -> None:
        """Puts the hooks on."""
        for register, hook in (
            (register_optimizer_step_pre_hook, self._before),
            (register_optimizer_step_post_hook, self._after),
        ):
            self._undo.callback(register(past_the_compiler(hook)).remove)

    def leave(self) -> None:
        """Takes the hooks off."""
        self._undo.close()
        self._with_buffers = []

    def look(self) -> None:
        """Notes what has moved of what nobody watched holds, and of buffers of frozen modules."""
        held = {id(subject.parameter) for each in self._steppings for subject in each.held}
        loose = [s for s in self._shared.roster.present if id(s.parameter) not in held]
        self.outside.update(self._moved(loose))
        buffers = self._frozen_buffers()
        now = dict(zip(buffers, checksums(list(buffers.values())), strict=True))
        self.buffers.update(
            name for name, sum_ in now.items() if self._sums.get(name, sum_) != sum_
        )
        self._sums = now

    def refresh(self) -> None:
        """Looks up which modules have buffers."""
        model = self._shared.roster.model
        named = model.named_modules() if model is not None else ()
        self._with_buffers = [(clean(name), module) for name, module in named if module._buffers]

    def _before(self, optimizer: Optimizer, *_: Any) -> None:
        moved = self._shared.guard.moves(self._subjects(optimizer), trusted=False).moved
        for stepping in self._steppings:
            stepping.note_outside(moved)

    def _after(self, optimizer: Optimizer, *_: Any) -> None:
        for name in self._moved(self._subjects(optimizer)):
            self.by_others.setdefault(name, Counter())[type(optimizer).__name__] += 1

    def _subjects(self, optimizer: Optimizer) -> list[Subject]:
        """What an optimizer that is not watched holds, where this is its outermost step.

        Nothing of one that steps inside the step of a watched one.
        """
        families = [stepping.family for stepping in self._steppings]
        if any(optimizer is member for family in families for member in family.hooked):
            return []
        if any(family.is_stepping for family in families):
            return []
        if steps_under_way(sys._getframe(1), [optimizer]) > 1:
            return []
        held = (p for group in optimizer.param_groups for p in group["params"])
        return [subject for p in held if (subject := self._shared.roster.of(p)) is not None]

    def _moved(self, subjects: list[Subject]) -> list[str]:
        """The names of those that have moved."""
        moved = self._shared.guard.moves(subjects, trusted=False).moved
        return [subject.name for subject in subjects if id(subject.parameter) in moved]

    def _frozen_buffers(self) -> dict[str, Tensor]:
        named, found = self._shared.question.frozen.now.buffers, dict[str, Tensor]()
        for prefix, module in self._with_buffers:
            for name, buffer in module._buffers.items():
                full = f"{prefix}.{name}" if prefix else name
                if buffer is not None and (full in named or _is_frozen(module)):
                    found[full] = buffer
        return found


def _is_frozen(module: nn.Module) -> bool:
    own = list(module.parameters(recurse=False))
    return bool(own) and not any(parameter.requires_grad for parameter in own)
