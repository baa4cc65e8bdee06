"""Steps that are given a closure: the gradients come while the step runs, not before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sweep.watching.families import Call


def has_closure(arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> bool:
    """Whether ``step`` was given a function to call."""
    return any(callable(value) for value in (*arguments, *keywords.values()))


def listening(
    arguments: tuple[Any, ...], keywords: Mapping[str, Any], hear: Callable[[Call], None]
) -> Call:
    """The same call with a closure that tells ``hear`` once the user's own has run first.

    ``hear`` is handed the call as it can be made again without running the user's closure: one
    that says the same loss and does nothing. The user's own is called as often as ever, with
    what it is called with.
    """
    waiting = True

    def watched(closure: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal waiting
            loss = closure(*given, **named)
            if waiting:
                waiting = False
                hear(_with_closures(arguments, keywords, lambda _: lambda *_, **__: loss))
            return loss

        return call

    return _with_closures(arguments, keywords, watched)


def _with_closures(
    arguments: tuple[Any, ...], keywords: Mapping[str, Any], change: Callable[[Any], Any]
) -> Call:
    def changed(value: Any) -> Any:
        return change(value) if callable(value) else value

    return tuple(map(changed, arguments)), {name: changed(v) for name, v in keywords.items()}
