"""An optimizer with what wraps it and what it wraps, and when one of its steps begins and ends.

Wrappers call the step of what they wrap, and a class may call its parent's. The outermost of
such steps is the one that counts.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer, optimizer

from sweep.errors import MisuseError

INNER = ("optimizer", "_optimizer", "base_optimizer", "optim", "original_optimizer")
"""Attributes in which wrappers keep what they wrap."""

_INNER_BY_NAME = "optimizer_dict"

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""What a step is called with: positional and keyword arguments."""


class Listener(Protocol):
    """Who is told of a family's outermost steps."""

    def begins(self) -> None:
        """A step begins: nothing has been done yet."""

    def reaches(self, inner: Optimizer, call: Call) -> Call | None:
        """The optimizer that does the work is about to. Returns what to call it with instead."""

    def reaches_inside(self, inner: Optimizer, call: Call) -> None:
        """Inside its step, the step of an optimizer that it wraps is about to do the work."""

    def ends(self, *, worked: bool, late: bool) -> None:
        """It has ended; ``worked`` is whether `reaches` was called.

        ``late`` is whether it ended some time ago: of a step that raised, no hook tells.
        """


class Family:
    """One optimizer that a user gave, with its wrappers and what they wrap.

    Attributes:
        given: what the user gave.
        hooked: those of the family that call torch's step hooks, the outermost first.
    """

    def __init__(self, given: Any) -> None:
        """Raises MisuseError for what is no optimizer and wraps none."""
        self.given = given
        self.hooked: list[Optimizer] = []
        self._proxies: list[Any] = []
        for member in _members(given):
            (self.hooked if _calls_hooks(member) else self._proxies).append(member)
        if not self.hooked:
            raise _no_optimizer(given)
        self._undo = ExitStack()
        self._listener: Listener | None = None
        self._depth = 0  # of proxies' steps
        self._is_open = False
        self._worked = False

    @property
    def name(self) -> str:
        """The class of the optimizer that does the work."""
        return type(self.hooked[-1]).__name__

    @property
    def parameters(self) -> list[Tensor]:
        """What the family holds now, each once; what a wrapper holds comes first."""
        groups = (group for member in self.hooked for group in member.param_groups)
        return list({id(p): p for group in groups for p in group["params"]}.values())

    @property
    def is_stepping(self) -> bool:
        """Whether one of its steps is under way."""
        self.settle()
        return self._is_open

    def listen(self, listener: Listener) -> None:
        """Tells ``listener`` of every step from now on."""
        self._listener = listener
        before, after = past_the_compiler(self._before), past_the_compiler(self._after)
        for member in self.hooked:
            self._undo.callback(member.register_step_pre_hook(before).remove)
            self._undo.callback(member.register_step_post_hook(after).remove)
        for proxy in self._proxies:
            self._patch(proxy)

    def leave(self) -> None:
        """Takes every hook off, and tells of a step that raised."""
        self.settle()
        self._listener = None
        self._undo.close()

    def settle(self) -> None:
        """Ends a step that raised: torch calls no hook then."""
        if self._is_open and not self._depth and not self._running():
            self._close(late=True)

    def _before(
        self, member: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> Call | None:
        if self._listener is None:
            return None
        if self._running() > 1:
            if member is not self.hooked[0]:
                self._listener.reaches_inside(member, (arguments[1:], keywords))
            return None
        if not self._depth:
            self._open()
        elif self._worked:
            return None
        self._worked = True
        changed = self._listener.reaches(member, (arguments[1:], keywords))  # without itself
        return None if changed is None else ((arguments[0], *changed[0]), changed[1])

    def _after(self, member: Optimizer, arguments: Any, keywords: Any) -> None:
        if self._is_open and not self._depth and self._running() <= 1:
            self._close()

    def _running(self) -> int:
        return steps_under_way(sys._getframe(1), self.hooked)

    def _open(self) -> None:
        if self._is_open:
            self._close(late=True)  # the step before raised
        self._is_open, self._worked = True, False
        if self._listener is not None:
            self._listener.begins()

    def _close(self, *, late: bool = False) -> None:
        self._is_open = False
        if self._listener is not None:
            self._listener.ends(worked=self._worked, late=late)

    def _patch(self, proxy: Any) -> None:
        """Has a wrapper that calls no hooks tell of its steps, through an attribute of its own."""
        step, before = proxy.step, vars(proxy).get("step")

        @functools.wraps(step)
        def told(*arguments: Any, **keywords: Any) -> Any:
            if self._listener is None:
                return step(*arguments, **keywords)
            if not self._depth:
                self._open()
            self._depth += 1
            try:
                return step(*arguments, **keywords)
            finally:
                self._depth -= 1
                if not self._depth and self._is_open:
                    self._close()

        def put_back() -> None:
            if vars(proxy).get("step") is told:
                if before is None:
                    del proxy.step
                else:
                    proxy.step = before

        proxy.step = told
        self._undo.callback(put_back)


def has_closure(call: Call) -> bool:
    """Whether ``step`` was given a function to call: the gradients come while it runs."""
    return any(callable(value) for value in (*call[0], *call[1].values()))


def listening(call: Call, hear: Callable[[Call], None]) -> Call:
    """The same call with a closure that tells ``hear`` once the user's own has run first.

    ``hear`` is handed the call as it can be made again without running the user's closure: one
    that says the same loss and does nothing. The user's own is called as often as ever, with
    what it is called with.
    """
    waiting = True

    def watched(closure: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            nonlocal waiting
            loss = closure(*given, **named)
            if waiting:
                waiting = False
                hear(_with_closures(call, lambda _: lambda *_, **__: loss))
            return loss

        return run

    return _with_closures(call, watched)


def _with_closures(call: Call, change: Callable[[Any], Any]) -> Call:
    def changed(value: Any) -> Any:
        return change(value) if callable(value) else value

    return tuple(map(changed, call[0])), {name: changed(v) for name, v in call[1].items()}


def steps_under_way(frame: FrameType | None, members: Sequence[Optimizer]) -> int:
    """How many steps of any of ``members`` are under way, by the frames from ``frame`` on up."""
    count = 0
    while frame is not None:
        code = frame.f_code
        if code.co_filename == optimizer.__file__ and "wrapper" in code.co_name:
            count += any(frame.f_locals.get("self") is member for member in members)
        frame = frame.f_back
    return count


def past_the_compiler(hook: Callable[..., Any]) -> Any:
    """The same hook, which a compiled step calls as it is: traced, it would change its bits."""
    return torch.compiler.disable(hook)  # type: ignore[no-untyped-call]


def _members(given: Any) -> list[Any]:
    """``given`` and what it wraps, and what that wraps, each once."""
    found: list[Any] = []
    waiting = [given]
    while waiting:
        member = waiting.pop(0)
        if any(member is known for known in found) or not _is_optimizer(member):
            continue
        found.append(member)
        waiting += [getattr(member, name, None) for name in INNER]
        by_name = getattr(member, _INNER_BY_NAME, None)
        waiting += by_name.values() if isinstance(by_name, Mapping) else ()
    return found


def _is_optimizer(member: Any) -> bool:
    try:
        groups = hasattr(member, "param_groups") or hasattr(member, _INNER_BY_NAME)
    except Exception:  # noqa: BLE001  # a proxy's property may raise anything
        return False
    return groups and callable(getattr(member, "step", None))


def _calls_hooks(member: Any) -> bool:
    """Whether its step calls torch's step hooks: its class's does once it was set up by torch's."""
    set_up = isinstance(member, Optimizer) and "_optimizer_step_pre_hooks" in vars(member)
    return set_up and getattr(type(member).step, "hooked", False)


def _no_optimizer(given: Any) -> MisuseError:
    kind = type(given).__name__
    if type(given).__module__.partition(".")[0] == "deepspeed":
        return MisuseError(
            f"watch cannot look into DeepSpeed's {kind}, which steps on flat copies of the "
            f"parameters. Watch the model with its own optimizer before deepspeed.initialize."
        )
    return MisuseError(
        f"watch needs objects of torch.optim.Optimizer, whose step hooks it uses, or wrappers of "
        f"one; {kind} is none. If it wraps one, pass that one."
    )
