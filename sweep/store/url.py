"""Which database is meant: the URL that a user gave, checked and safe to print.

Imports nothing but the standard library: `sql` and `status` parse URLs too, and SQLAlchemy
alone would take longer to import than they may take to answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sweep.errors import DatabaseError

_SCHEME = re.compile(r"(?P<scheme>[\w.+-]+)://(?P<rest>.*)", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"(?P<key>(?:ssl)?password|passfile)=[^&]*", re.IGNORECASE)
_VALID = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
_POSTGRESQL_SCHEMES = frozenset({"postgresql+psycopg", "postgresql", "postgres"})


class Backend(StrEnum):
    """The kinds of database that are supported."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database's address.

    Attributes:
        backend: its kind.
        text: the URL as SQLAlchemy takes it. Holds the password: never print it.
        shown: the URL with the password left out, for people.
        path: the SQLite file; None for a server.
    """

    backend: Backend
    text: str = field(repr=False)
    shown: str
    path: Path | None = None

    @property
    def libpq(self) -> str:
        """The URL of a PostgreSQL database as libpq takes it. Holds the password."""
        return self.text.replace("postgresql+psycopg://", "postgresql://", 1)


def parse_url(text: str) -> DatabaseUrl:
    """The database that ``text`` names; opens nothing.

    Raises DatabaseError for anything but the two supported kinds, saying what would be right.

    >>> parse_url("sqlite:///results/x.db").path
    PosixPath('results/x.db')
    >>> parse_url("postgresql://me:secret@host/x").shown
    'postgresql+psycopg://me:***@host/x'
    """
    shown = without_password(text)
    match = _SCHEME.fullmatch(text.strip())
    if match is None:
        raise DatabaseError(_not_a_url(text.strip(), shown), url=shown)
    scheme, rest = match["scheme"].lower(), match["rest"]
    if scheme == "sqlite":
        return _sqlite(rest, shown)
    if scheme in _POSTGRESQL_SCHEMES:
        normal = f"postgresql+psycopg://{rest}"
        return DatabaseUrl(Backend.POSTGRESQL, normal, without_password(normal))
    raise DatabaseError(
        f"Databases of the kind {scheme!r} are not supported: {shown}. Valid: {_VALID}.", url=shown
    )


def without_password(text: str) -> str:
    """``text`` with whatever looks like a password in a URL replaced by ``***``.

    >>> without_password("postgresql://me:p@ss@host/x?sslpassword=other")
    'postgresql://me:***@host/x?sslpassword=***'
    """
    start, separator, rest = text.rpartition("://")
    user, secret, host = _taken_apart(rest)
    masked = f"{user}:***@{host}" if secret else rest
    return start + separator + _SECRET_PARAMETER.sub(r"\g<key>=***", masked)


def without_secrets(words: str, url: DatabaseUrl) -> str:
    """``words`` without any part of the password of ``url``, wherever a library took it apart."""
    _, _, rest = url.text.rpartition("://")
    _, secret, _ = _taken_apart(rest)
    for piece in sorted(re.split(r"[@/:?#&]", secret), key=len, reverse=True):
        words = words.replace(piece, "***") if len(piece) > 1 else words
    return without_password(words)


def _taken_apart(rest: str) -> tuple[str, str, str]:
    """User, password and what follows; the last ``@`` ends a password, as it may hold others."""
    credentials, _, host = rest.rpartition("@")
    user, _, secret = credentials.partition(":")
    return user, secret, host


def _sqlite(rest: str, shown: str) -> DatabaseUrl:
    """The file behind ``sqlite://`` + ``rest``."""
    host, _, name = rest.partition("/")
    if host:
        file = shown.partition("://")[2]
        message = f"{shown} names a host, which SQLite does not have: write sqlite:///{file}"
        raise DatabaseError(f"{message} with three slashes.", url=shown)
    if not name or name.startswith((":memory:", "file:")):
        message = f"{shown} names no file, so nothing would be kept. Valid: sqlite:///FILE."
        raise DatabaseError(message, url=shown)
    if "?" in name or "\0" in name:
        message = f"{shown!r} has a '?' or a zero byte; a SQLite URL takes a file's path alone."
        raise DatabaseError(message, url=shown)
    return DatabaseUrl(Backend.SQLITE, f"sqlite:///{name}", shown, Path(name))


def _not_a_url(text: str, shown: str) -> str:
    """What to say to text that is no URL: a bare path most likely."""
    if not text:
        return f"An empty database URL. Valid: {_VALID}."
    if "@" in text:
        return f"{shown!r} is no database URL. Valid: {_VALID}."
    return f"{shown!r} is a path, not a database URL. For that file: sqlite:///{text}"
