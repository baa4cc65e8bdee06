"""The exceptions that reading a database for analysis raises, and the exit code each ends with.

    AnalysisError                  exit 1: the thing asked for is not there
    ├── DatabaseMissingError       no such file
    ├── SweepMissingError          no sweep of that name; carries the names there are
    ├── NoTrialsError              nothing was recorded yet
    ├── NothingToDrawError         the trials have nothing that a figure shows
    ├── UnknownChoiceError         exit 2: a format or column that does not exist
    ├── UnreadableDatabaseError    exit 2: not a database of this program
    └── MissingLibraryError        exit 2: an optional library that a format needs

No message holds a password: URLs are shown with it left out.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_LISTED = 16  # names in a message: all of the tables, and not a thousand sweeps
_NOT_THERE = 1
_MISUSE = 2


class AnalysisError(Exception):
    """The root of what `analysis` raises on purpose."""

    exit_code = _NOT_THERE


class DatabaseMissingError(AnalysisError):
    """The database file does not exist.

    Attributes:
        path: the file that was looked for.
    """

    def __init__(self, path: str) -> None:
        super().__init__(
            f"There is no database at {path}. `leaksweep run` makes one; --db or "
            f"LEAKSWEEP_DB names another."
        )
        self.path = path


class UnreadableDatabaseError(AnalysisError):
    """What is at the URL cannot be read as a database of this program.

    Attributes:
        url: its URL with the password left out.
    """

    exit_code = _MISUSE

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"{url} cannot be read as a leaksweep database: {reason}. "
            f"`leaksweep show schema` says what one holds."
        )
        self.url = url


class SweepMissingError(AnalysisError):
    """No sweep of that name is in the database.

    Attributes:
        name: the name asked for.
        known: the names there are.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no sweep named {name!r} in this database. {_hint(name, known)}")
        self.name = name
        self.known = tuple(known)


class NoTrialsError(AnalysisError):
    """The database, or the sweep asked for, holds no trial yet."""

    def __init__(self, place: str) -> None:
        super().__init__(f"{place} holds no trials yet. `leaksweep run` records some.")


class NothingToDrawError(AnalysisError):
    """The trials have nothing that a figure shows; the message says what it would need."""


class UnknownChoiceError(AnalysisError):
    """A word that is none of the valid ones.

    Attributes:
        name: the word that came.
        known: the valid ones.
    """

    exit_code = _MISUSE

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        super().__init__(f"Unknown {kind} {name!r}. {_hint(name, known)}")
        self.name = name
        self.known = tuple(known)


class MissingLibraryError(AnalysisError):
    """A format needs a library that is not installed."""

    exit_code = _MISUSE

    def __init__(self, task: str, library: str, extra: str) -> None:
        super().__init__(f"{task} needs {library}. Install it with: pip install '{extra}'")


def _hint(name: str, known: Sequence[str]) -> str:
    """The nearest valid names as a question where there are any, and all of them."""
    if not known:
        return "There are none yet."
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    question = f"Did you mean {' or '.join(near)}? " if near else ""
    more = f" and {len(known) - _LISTED:,} more" if len(known) > _LISTED else ""
    return f"{question}Valid: {', '.join(known[:_LISTED])}{more}."
