"""What comes out of a database, checked: the one place that does, as files come from anywhere.

SQLite keeps any value in any column. A value is what this program writes into its column, or
the database is refused in one message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sweep.errors import DatabaseError
from sweep.values.words import OWN_LOOP, Freeze, GradState, Verdict, ZeroGrad

NEVER_BELOW_0 = frozenset(
    {"planned", "steps", "seed", "threads", "step", "train_seconds"}
    | {"frozen_steps", "leaked_steps", "first_leak_step", "frozen_norm", "max_change"}
    | {"max_drift", "total_drift", "attached_motion", "drift_ratio"}
)
"""Columns of counts, and of sizes that have no sign."""
ALWAYS_FINITE = frozenset({"train_seconds"})
WORDS_OF: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "verdict": frozenset(Verdict),
        "zero_grad": frozenset(ZeroGrad),
        "freeze": frozenset((*Freeze, OWN_LOOP)),
        "grad": frozenset(GradState),
    }
)
"""Columns that hold the words of a closed set."""
CAUSES = re.compile(r"(?:intrinsic|history|decay|gradient|\+|, )*")

_SHOWN = 40  # characters of a value that a message shows
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


def checked(value: Any, kind: type, column: str, *, nullable: bool, shown: str) -> Any:
    """``value`` as ``kind`` has it: str, int, float, bool or datetime (in UTC); None for null.

    ``column`` is what messages call it, with its table, and ``shown`` the database. Raises
    DatabaseError for what is none, such as bytes, text where a number belongs, a count below 0
    or a word that is no verdict.
    """
    if value is None and nullable:
        return None
    try:
        found = _KINDS[kind](value)
        _check(column.partition(".")[2], found)
    except (ValueError, TypeError, OverflowError):
        raise not_ours(shown, f"{column} is {_said(value)}") from None
    return found


def _check(column: str, value: Any) -> None:
    """Raises ValueError for a value out of the bounds of a column, or no word of its."""
    if column in NEVER_BELOW_0 and value < 0:
        raise ValueError
    if column in ALWAYS_FINITE and not math.isfinite(value):
        raise ValueError
    if column in WORDS_OF and value not in WORDS_OF[column]:
        raise ValueError
    if column == "causes" and not CAUSES.fullmatch(value):
        raise ValueError


def not_ours(shown: str, what: str) -> DatabaseError:
    """The exception for a database in which something is what this program does not write."""
    return DatabaseError(
        f"{shown} holds what this program does not write: {what}. Restore a copy, or name "
        f"another database with --db.",
        url=shown,
    )


def _plain(kind: type, *kinds: type) -> Callable[[Any], Any]:
    """What gives a value of these ``kinds`` as ``kind``. A flag is no number."""

    def converted(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise TypeError
        return kind(value)

    return converted


def _flag(value: Any) -> bool:
    if value not in (0, 1) or not isinstance(value, int):
        raise TypeError
    return bool(value)


def _moment(value: Any) -> datetime:
    """A time as the database gave it: text without a zone from SQLite, and in UTC."""
    if isinstance(value, datetime):
        found = value.astimezone(UTC)
    else:
        found = datetime.fromisoformat(value).replace(tzinfo=UTC)
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:  # at the ends, an hour more is an error
        raise ValueError
    return found


def _said(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_KINDS: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {str: _plain(str, str), int: _plain(int, int), float: _plain(float, int, float)}
    | {bool: _flag, datetime: _moment}
)
