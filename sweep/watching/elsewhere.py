"""What moves where no watched step is looking: other optimizers, loops, forward passes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from sweep.watching.digests import checksums
from sweep.watching.families import past_the_compiler, steps_under_way
from sweep.watching.guard import Guard
from sweep.watching.marks import Marks, Moves
from sweep.watching.meant import Wish
from sweep.watching.roster import Roster, Subject, clean


class Elsewhere:
    """Listens to optimizers that are not watched, and looks at what no watched one holds.

    Attributes:
        by_others: by the name of a parameter: how many steps of which class moved it.
        outside: how often a parameter that no watched optimizer holds had moved otherwise.
        buffers: how often a buffer of a frozen module had moved from one step to the next.
    """

    def __init__(self, roster: Roster, marks: Marks, guard: Guard, frozen: Wish) -> None:
        self.by_others: dict[str, Counter[str]] = {}
        self.outside: Counter[str] = Counter()
        self.buffers: Counter[str] = Counter()
        self._roster = roster
        self._marks = marks
        self._guard = guard
        self._frozen = frozen
        self._is_watched: Callable[[Optimizer], bool] = lambda _: True
        self._on_moves: Callable[[Iterable[int]], None] = lambda _: None
        self._handles: list[Any] = []
        self._with_buffers = _modules_with_buffers(roster.model)
        self._sums: dict[str, int] = {}  # of the buffers, by name

    def listen(
        self,
        is_watched: Callable[[Optimizer], bool],
        on_moves: Callable[[Iterable[int]], None],
    ) -> None:
        """Listens to every optimizer but those of which ``is_watched`` is true.

        ``on_moves`` is told which held parameters had moved before such a step began.
        """
        self._is_watched, self._on_moves = is_watched, on_moves
        for register, hook in (
            (register_optimizer_step_pre_hook, self._before),
            (register_optimizer_step_post_hook, self._after),
        ):
            self._handles.append(register(past_the_compiler(hook)))

    def leave(self) -> None:
        """Takes the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def look(self, held: Iterable[Subject]) -> None:
        """Notes what has moved of what is not ``held``, and of the buffers of frozen modules."""
        known = {id(subject.parameter) for subject in held}
        loose = [s for s in self._roster.present if id(s.parameter) not in known]
        for key in self._moved(loose).moved:
            self.outside[self._name(key)] += 1
        buffers = self._frozen_buffers()
        now = dict(zip(buffers, checksums(list(buffers.values())), strict=True))
        self.buffers.update(
            name for name, sum_ in now.items() if self._sums.get(name, sum_) != sum_
        )
        self._sums = now

    def refresh(self) -> None:
        """Looks up again which modules have buffers."""
        self._with_buffers = _modules_with_buffers(self._roster.model)

    def _before(self, optimizer: Optimizer, *_: Any) -> None:
        subjects = self._subjects(optimizer)
        if subjects:
            moved = self._moved(subjects).moved
            self._on_moves(moved)

    def _after(self, optimizer: Optimizer, *_: Any) -> None:
        subjects = self._subjects(optimizer)
        for key in self._moved(subjects).moved if subjects else ():
            counts = self.by_others.setdefault(self._name(key), Counter())
            counts[type(optimizer).__name__] += 1

    def _subjects(self, optimizer: Optimizer) -> list[Subject]:
        """What an optimizer that is not watched holds, where this is its outermost step."""
        if self._is_watched(optimizer) or steps_under_way(sys._getframe(1), [optimizer]) > 1:
            return []
        held = (p for group in optimizer.param_groups for p in group["params"])
        return [subject for p in held if (subject := self._roster.of(p)) is not None]

    def _moved(self, subjects: list[Subject]) -> Moves:
        def update(tensors: list[Tensor]) -> Moves:
            return self._marks.update(tensors, trusted=False)

        return self._guard.all(subjects, update, Moves.joined, Moves())

    def _name(self, key: int) -> str:
        return next(s.name for s in self._roster if id(s.parameter) == key)

    def _frozen_buffers(self) -> dict[str, Tensor]:
        named, found = self._frozen.now.buffers, {}
        for prefix, module in self._with_buffers:
            own = list(module.parameters(recurse=False))
            is_frozen = bool(own) and not any(parameter.requires_grad for parameter in own)
            for name, buffer in module._buffers.items():
                full = f"{prefix}{name}"
                if buffer is not None and (is_frozen or full in named):
                    found[full] = buffer
        return found


def _modules_with_buffers(model: nn.Module | None) -> list[tuple[str, nn.Module]]:
    if model is None:
        return []
    named = [(clean(name), module) for name, module in model.named_modules() if module._buffers]
    return [(f"{name}." if name else "", module) for name, module in named]
