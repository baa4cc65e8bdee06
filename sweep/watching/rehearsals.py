"""Which steps are rehearsed, and what that says of the parameters they move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from torch.optim import Optimizer

from sweep.watching.families import Call
from sweep.watching.findings import Explanation
from sweep.watching.rehearsal import Rehearsed, Scene, digest, rehearse
from sweep.watching.states import State

if TYPE_CHECKING:
    from sweep.watching.stepping import Case


class Rehearsals:
    """What was rehearsed of the step at hand, by parameter."""

    def __init__(self) -> None:
        self._of: dict[int, Rehearsed | None] = {}

    def rehearse(self, optimizer: Optimizer, call: Call, cases: Sequence[Case]) -> None:
        """Rehearses the step for each of the cases."""
        self._of = {
            id(case.parameter): rehearse(
                Scene(optimizer, case.parameter, case.where, call[0], call[1])
            )
            for case in cases
        }

    def has(self, parameter: Tensor) -> bool:
        """Whether the step was rehearsed for that very parameter."""
        return self._of.get(id(parameter)) is not None

    def moves(self, parameter: Tensor) -> bool | None:
        """Whether the parameter will move; None where that is not known."""
        found = self._of.get(id(parameter))
        return None if found is None else found.causes is not None

    def explain(self, case: Case, *, causes: bool) -> Explanation:
        """Why the parameter moved, if it did as it was rehearsed."""
        despite_none = case.state is State.NONE
        found = self._of.get(id(case.parameter))
        if found is None:
            return Explanation(None, "it was not rehearsed", despite_none)
        now = case.parameter.detach()
        if found.digest != digest(now if case.where is None else now[case.where]):
            return Explanation(None, "the step did not go as rehearsed", despite_none)
        return Explanation(found.causes, None, despite_none)
