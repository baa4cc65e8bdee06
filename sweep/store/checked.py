"""What comes out of a database, checked: the one place that does, as files come from anywhere.

SQLite keeps any value in any column. A value is what this program writes into its column, or
the database is refused in one message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sweep.errors import DatabaseError
from sweep.values.words import Verdict

_SHOWN = 40  # characters of a value that a message shows
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


def checked(value: Any, kind: type, column: str, *, nullable: bool, shown: str) -> Any:
    """``value`` as ``kind`` has it: str, int, float, bool or datetime (in UTC); None for null.

    ``column`` is what messages call it, and ``shown`` the database. Raises DatabaseError for
    what is none, such as bytes, or text where a number belongs.
    """
    if value is None and nullable:
        return None
    try:
        return _KINDS[kind](value)
    except (ValueError, TypeError, OverflowError):
        raise not_ours(shown, f"{column} is {_said(value)}") from None


def not_ours(shown: str, what: str) -> DatabaseError:
    """The exception for a database in which something is what this program does not write."""
    return DatabaseError(
        f"{shown} holds what this program does not write: {what}. Restore a copy, or name "
        f"another database with --db.",
        url=shown,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _flag(value: Any) -> bool:
    if value not in (0, 1) or not isinstance(value, int):
        raise TypeError
    return bool(value)


def _moment(value: Any) -> datetime:
    """A time as the database gave it: text without a zone from SQLite, and in UTC."""
    if isinstance(value, datetime):
        found = value.astimezone(UTC)
    else:
        found = datetime.fromisoformat(_text(value)).replace(tzinfo=UTC)
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:  # at the ends, an hour more is an error
        raise ValueError
    return found


def _said(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_KINDS: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {str: _text, int: _whole, float: _number, bool: _flag, datetime: _moment, Verdict: Verdict}
)
