"""One optimizer under watch: what each of its steps does to what was to keep still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.utils.weak import TensorWeakRef

from sweep.trial.probe import Change, Probe
from sweep.values.words import GradState
from sweep.watching.arrivals import Arrivals
from sweep.watching.closures import Call, has_closure, listening
from sweep.watching.findings import Explanation, Findings, Leak
from sweep.watching.grads import grad_state, has_nonzero, reached_rows
from sweep.watching.rehearsal import Rehearsed, Scene, digest, rehearse
from sweep.watching.roster import Roster


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a watch.

    Attributes:
        frozen: parameters that must not move even if a gradient reaches them.
        zeros_count: a gradient that is all zeros is one.
        rows: rows are judged one by one.
        causes: the first leak of each parameter is explained.
    """

    frozen: frozenset[str]
    zeros_count: bool
    rows: bool
    causes: bool


@dataclass(frozen=True, slots=True)
class _Circumstances:
    """What decides, for all that is known, whether a quiet parameter moves.

    One that kept still in the same circumstances before is not rehearsed again.
    """

    grad: GradState
    has_state: bool
    has_rate: bool
    has_decay: bool
    reached_before: bool


@dataclass(slots=True)
class _Quiet:
    """A parameter that is to keep still on the step at hand, with what was rehearsed of it."""

    parameter: Tensor
    rows: Tensor | None
    grad: GradState
    arrived: bool
    circumstances: _Circumstances | None = None
    is_rehearsed: bool = False
    rehearsed: Rehearsed | None = None


class Stepping:
    """Hooks around one optimizer's steps, which compare and record; `remove` takes them off."""

    def __init__(
        self,
        index: int,
        optimizer: Optimizer,
        roster: Roster,
        arrivals: Arrivals,
        question: Question,
        findings: Findings,
    ) -> None:
        """Puts the hooks on ``optimizer``."""
        self._index = index
        self._roster = roster
        self._arrivals = arrivals
        self._question = question
        self._findings = findings
        self._probe = Probe({})
        self._quiet: dict[str, _Quiet] = {}
        self._has_closure = False
        self._clock = 0  # of the arrivals, at the end of the last step
        self._left: dict[str, TensorWeakRef | None] = {}  # the grads, likewise
        self._held: dict[str, set[_Circumstances]] = {}
        self._explained: set[str] = set()
        findings.steps.append(0)
        for name, parameter in roster.held_by(optimizer):
            self._meet(name, parameter)
        self._handles = (
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        )

    @property
    def held_bytes(self) -> int:
        """The size of the copies of parameters that are held now."""
        return self._probe.held_bytes

    def remove(self) -> None:
        """Takes the hooks off and lets go of every copy."""
        for handle in self._handles:
            handle.remove()
        self._probe.before_step({})
        self._quiet = {}

    def _meet(self, name: str, parameter: Tensor) -> None:
        """Starts to watch a parameter. A gradient that it has already counts as one."""
        self._probe.add(name, parameter)
        self._left[name] = _reference(parameter.grad)
        if parameter.grad is not None and has_nonzero(parameter.grad):
            self._arrivals.mark(parameter)

    def _before_step(
        self, optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Returns what the step is to be called with instead, if it has a closure."""
        arguments = arguments[1:]  # torch puts the optimizer itself first
        self._has_closure = has_closure(arguments, keywords)
        self._quiet = {}
        for name, parameter in self._roster.held_by(optimizer):
            if name not in self._left:
                self._meet(name, parameter)
            if self._has_closure:
                self._quiet[name] = self._as_quiet(name, parameter, None)
            elif (quiet := self._found_quiet(name, parameter)) is not None:
                self._quiet[name] = quiet
        self._probe.before_step({name: quiet.rows for name, quiet in self._quiet.items()})
        if not self._question.causes:
            return None
        if self._has_closure:
            hear = partial(self._rehearse_what_is_quiet_by_now, optimizer)
            arguments, keywords = listening(arguments, keywords, hear)
            return (optimizer, *arguments), keywords
        self._rehearse(self._quiet, optimizer, arguments, keywords)
        return None

    def _rehearse_what_is_quiet_by_now(self, optimizer: Optimizer, call: Call) -> None:
        quiet = self._still_quiet()
        self._rehearse(quiet, optimizer, *call)
        self._quiet |= quiet

    def _rehearse(
        self,
        among: Mapping[str, _Quiet],
        optimizer: Optimizer,
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
    ) -> None:
        """Rehearses the step for each of ``among`` of which it is not known what it does."""
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        for name, quiet in among.items():
            if name in self._explained:
                continue
            group = groups[id(quiet.parameter)]
            quiet.circumstances = _Circumstances(
                grad=quiet.grad,
                has_state=bool(optimizer.state.get(quiet.parameter)),
                has_rate=bool(group.get("lr", True)),
                has_decay=bool(group.get("weight_decay", False)),
                reached_before=self._was_reached(quiet),
            )
            if quiet.circumstances not in self._held.get(name, ()):
                scene = Scene(optimizer, quiet.parameter, quiet.rows, arguments, keywords)
                quiet.is_rehearsed, quiet.rehearsed = True, rehearse(scene)

    def _was_reached(self, quiet: _Quiet) -> bool:
        """Whether a gradient has ever reached the parameter, or one of the rows in question."""
        arrival = self._arrivals.of(quiet.parameter)
        if quiet.rows is None:
            return arrival.time > 0
        return bool((arrival.row_times[quiet.rows] > 0).any())

    def _after_step(
        self, optimizer: Optimizer, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> None:
        if self._has_closure:
            self._drop_those_reached_meanwhile()
        for name, change in self._probe.after_step().items():
            self._judge(name, self._quiet[name], change)
        for name, parameter in self._roster.held_by(optimizer):
            self._left[name] = _reference(parameter.grad)
        self._clock = self._arrivals.clock
        self._findings.steps[self._index] += 1

    def _judge(self, name: str, quiet: _Quiet, change: Change) -> None:
        record = self._findings.record(self._index, name)
        record.quiet_steps += 1
        first_leak = change.moved and not record.leaks
        if record.grad is None or first_leak:
            record.grad = quiet.grad
        if not change.moved:
            if quiet.circumstances is not None:
                self._held.setdefault(name, set()).add(quiet.circumstances)
            return
        leak = Leak(
            parameter=name,
            optimizer=self._index,
            step=self._findings.steps[self._index],
            change=change,
            grad=quiet.grad,
            rows=tuple(self._probe.moved_rows(name)) if self._question.rows else None,
            explanation=self._explain(name, quiet, first_leak),
            arrived=quiet.arrived,
        )
        record.leaks.append(leak)

    def _explain(self, name: str, quiet: _Quiet, first_leak: bool) -> Explanation | None:
        """Why it moved, if the step was rehearsed and went as it did then."""
        if not quiet.is_rehearsed:
            self._held.pop(name, None)  # it had held like this before: rehearse the next step
            return self._unexplained(quiet) if first_leak else None
        self._explained.add(name)
        now = quiet.parameter.detach()
        ending = digest(now if quiet.rows is None else now[quiet.rows])
        if quiet.rehearsed is None or quiet.rehearsed.digest != ending:
            return self._unexplained(quiet)
        return Explanation(quiet.rehearsed.causes)

    def _unexplained(self, quiet: _Quiet) -> Explanation:
        return Explanation(None, despite_none=quiet.grad is GradState.NONE)

    def _found_quiet(self, name: str, parameter: Tensor) -> _Quiet | None:
        """The parameter, or those rows of it, that no gradient has reached; None if all are."""
        if name in self._question.frozen:
            return self._as_quiet(name, parameter, None)
        if self._question.rows and parameter.dim() > 0:
            rows = ~self._rows_reached(name, parameter)
            return self._as_quiet(name, parameter, rows) if bool(rows.any()) else None
        return None if self._is_reached(name, parameter) else self._as_quiet(name, parameter, None)

    def _still_quiet(self) -> dict[str, _Quiet]:
        """Those that are quiet now, of those that were, with what was rehearsed of them."""
        found = {
            name: self._found_quiet(name, held.parameter) for name, held in self._quiet.items()
        }
        return {
            name: replace(
                quiet,
                circumstances=self._quiet[name].circumstances,
                is_rehearsed=self._quiet[name].is_rehearsed,
                rehearsed=self._quiet[name].rehearsed,
            )
            for name, quiet in found.items()
            if quiet is not None
        }

    def _drop_those_reached_meanwhile(self) -> None:
        """A closure brings the gradients while the step runs: only now is it known to whom."""
        held, self._quiet = self._quiet, self._still_quiet()
        for name in held:
            if name not in self._quiet:
                self._probe.drop(name)
            elif (rows := self._quiet[name].rows) is not None:
                self._probe.narrow(name, rows)

    def _as_quiet(self, name: str, parameter: Tensor, rows: Tensor | None) -> _Quiet:
        grad = grad_state(parameter.grad, rows)
        return _Quiet(parameter, rows, grad, self._has_arrived(name, parameter))

    def _is_reached(self, name: str, parameter: Tensor) -> bool:
        """Whether a gradient, as the watch was asked to count it, has arrived."""
        grad = parameter.grad
        if grad is None or not self._has_arrived(name, parameter):
            return False
        return self._question.zeros_count or has_nonzero(grad)

    def _has_arrived(self, name: str, parameter: Tensor) -> bool:
        """Whether the parameter's grad has come since the step before, and is there."""
        grad = parameter.grad
        if grad is None:
            return False  # none came, or what came was cleared: a step that was skipped
        arrival = self._arrivals.of(parameter)
        if arrival.time > self._clock:
            came_earlier = arrival.backward != self._arrivals.backward
            zeroed_since = grad._version != arrival.version and not has_nonzero(grad)
            return not (came_earlier and zeroed_since)
        return self._is_assigned(name, grad)

    def _rows_reached(self, name: str, parameter: Tensor) -> Tensor:
        """The same for each row: a boolean tensor of shape ``(rows,)``."""
        grad, arrival = parameter.grad, self._arrivals.of(parameter)
        if grad is None:
            return arrival.row_times < 0  # nowhere true
        reached = arrival.row_times > self._clock
        if arrival.time <= self._clock and self._is_assigned(name, grad):
            reached = reached_rows(grad, zeros_count=self._question.zeros_count)
        return reached

    def _is_assigned(self, name: str, grad: Tensor) -> bool:
        """Whether the grad is another tensor than the one that the last step left."""
        left = self._left[name]
        return left is None or left() is not grad


def _reference(grad: Tensor | None) -> TensorWeakRef | None:
    return None if grad is None else TensorWeakRef(grad)
