"""From pydantic's list of errors to one message a user can act on."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sweep.errors import SpecError, nearest
from sweep.values.setting import AXIS_FACTS

SHOWN = 60
MOST_TOLD = 20  # complaints beside the first: no message fills a screen ten times
LARGEST = 10**300

_OF_SPEC = {
    "name": 'a text, such as name = "mine"',
    "description": 'a text, such as description = "what it is for"',
    "workload": 'a text, such as workload = "article"',
    "steps": "a whole number >= 1, such as steps = 100",
    "trace": "true or false",
    "grid": 'one table for each grid, headed [[grid]], with at least optimizer = ["SGD"]',
    "options": "one table for each optimizer, such as [options.Adam]",
}
_OF_GRID = {facts.axis.value: facts.wanted for facts in AXIS_FACTS}
_WANTED = _OF_SPEC | _OF_GRID
_WORDS = {facts.axis.value: facts.words for facts in AXIS_FACTS if facts.words}


def complaint(error: ValidationError, source: str) -> SpecError:
    """What ``error`` says, as one message: every complaint, each with its key."""
    # pydantic also calls a list too short whose items did not pass
    errors = [
        one
        for one in error.errors(include_url=False)
        if not (one["type"] == "too_short" and one["input"])
    ]
    told = list(dict.fromkeys((_sentence(one), _key(one)) for one in errors))
    (first, key), *others = told
    sentences = [first]
    sentences += [f"And in {where or 'the whole'}: {said}" for said, where in others[:MOST_TOLD]]
    if len(others) > MOST_TOLD:
        sentences.append(f"And {len(others) - MOST_TOLD:,} more.")
    return SpecError(" ".join(sentences), where=source, key=key)


def shown(value: object) -> str:
    """``value`` on one short line, with nothing in it that a terminal obeys.

    >>> shown("a" * 100)[-8:]
    'aaaaa...'
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of more digits than Python prints
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def unknown(kind: str, value: object, valid: Iterable[str]) -> str:
    """That ``value`` is none of ``valid``, with the nearest of them."""
    close = nearest(value[:SHOWN], valid) if isinstance(value, str) else []
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return f"Unknown {kind} {shown(value)}. {hint}Valid: {', '.join(valid)}."


def _sentence(error: ErrorDetails) -> str:
    value, loc = error["input"], error["loc"]
    axis = _axis(loc)
    wanted = _WANTED.get(axis, "another value")
    match error["type"]:
        case "spec":
            return error["msg"]
        case "extra_forbidden":
            in_grid = loc[0] == "grid" and len(loc) > 1
            return unknown("key", str(loc[-1]), _OF_GRID if in_grid else _OF_SPEC)
        case "missing":
            return f"{axis} is missing. It needs {wanted}."
        case "enum":
            return unknown(axis, value, _WORDS[axis])
        case _:
            return f"{axis} needs {wanted}; {_fault(error)}."


def _fault(error: ErrorDetails) -> str:
    """What is wrong with the value, as a phrase."""
    value, limits = error["input"], error.get("ctx", {})
    match error["type"]:
        case "tuple_type":
            return f"{shown(value)} is not a list"
        case "model_type" | "dict_type":
            return f"{shown(value)} is not a table"
        case "too_short" | "string_too_short":
            return "it is empty"
        case "greater_than_equal":
            return f"{shown(value)} is below {limits['ge']:g}"
        case "less_than_equal":
            return f"{shown(value)} is above {limits['le']:,}"
        case "too_long":
            return f"there are more than {limits['max_length']}"
        case "string_too_long":
            return f"{shown(value)} is longer than {limits['max_length']} characters"
        case _:
            return f"{shown(value)} is {_kind(value)}"


def _axis(loc: tuple[int | str, ...]) -> str:
    """The innermost name in ``loc`` that the spec's author knows."""
    return next((part for part in reversed(loc) if part in _WANTED), "spec")


def _key(error: ErrorDetails) -> str:
    """The dotted key, as in ``grid[1].optimizer``; a list's own index is left out."""
    loc = error["loc"]
    parts = [str(loc[0])] if loc else []
    if len(loc) > 1 and loc[0] == "grid":
        parts[0] += f"[{loc[1]}]"
        parts += [str(part) for part in loc[2:3]]
    elif loc and loc[0] == "options":
        parts += [str(part) for part in loc[1:3]]
    inner = str(error.get("ctx", {}).get("key", ""))
    parts += [inner] if inner else []
    return ".".join(_bare(part) for part in parts)


def _bare(part: str) -> str:
    return part if part.isprintable() and len(part) <= SHOWN else shown(part)


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", str: "a text", dict: "a table", list: "a list"}
    if isinstance(value, float):
        return "a float" if abs(value) < float("inf") else "not finite"
    if type(value) is int:
        return "an integer" if abs(value) < LARGEST else "too large"
    return kinds.get(type(value), f"a {type(value).__name__}")
