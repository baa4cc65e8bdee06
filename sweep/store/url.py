"""Which database is meant: the URL or path that a user gave, checked and safe to print.

Everybody who reads or writes goes through here: SQLAlchemy and Optuna are given `text`, which
they take for the file that `path` is.

Imports nothing but the standard library: `sql` and `status` parse URLs too, and SQLAlchemy
alone would take longer to import than they may take to answer.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, unquote

from sweep.errors import DatabaseError

DEFAULT_PATH = "results/sweep.db"
"""Where results are kept unless something else is said."""
DEFAULT_DB = f"sqlite:///{DEFAULT_PATH}"

_SCHEME = re.compile(r"(?P<scheme>[\w.+-]+)://(?P<rest>.*)", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"(?P<key>(?:ssl)?password|passfile)=[^&]*", re.IGNORECASE)
_HALF_A_URL = re.compile(r"(?:sqlite|postgres)[\w+]*:", re.IGNORECASE)
_CREDENTIALS = re.compile(r"[^/]*:.*@", re.DOTALL)
_VALID = "FILE, sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
_POSTGRESQL_SCHEMES = frozenset({"postgresql+psycopg", "postgresql", "postgres"})


class Dialect(StrEnum):
    """The kinds of database that are supported."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database's address.

    Attributes:
        backend: its kind.
        text: the URL as SQLAlchemy takes it. Holds the password: never print it.
        shown: what was given, with the password left out, for people.
        path: the SQLite file; None for a server.
    """

    backend: Dialect
    text: str = field(repr=False)
    shown: str
    path: Path | None = None

    @property
    def libpq(self) -> str:
        """The URL of a PostgreSQL database as libpq takes it. Holds the password."""
        return self.text.replace("postgresql+psycopg://", "postgresql://", 1)


def parse_url(given: str | os.PathLike[str]) -> DatabaseUrl:
    """The database that a URL or a path names; opens nothing.

    A URL's ``%20`` is a blank, as it is for SQLAlchemy; a path is taken as it stands. Raises
    DatabaseError for anything but the two supported kinds, saying what would be right.

    >>> parse_url("sqlite:///my%20runs.db").path
    PosixPath('my runs.db')
    >>> parse_url("results/x.db").text
    'sqlite:///results/x.db'
    >>> parse_url("postgresql://me:secret@host/x").shown
    'postgresql+psycopg://me:***@host/x'
    """
    text = given.strip() if isinstance(given, str) else os.fspath(given)
    shown = without_password(text)
    match = _SCHEME.fullmatch(text)
    if match is None:
        _check_path(text, shown)
        return _file(text, shown)
    scheme, rest = match["scheme"].lower(), match["rest"]
    if scheme == "sqlite":
        return _file(_name(rest, shown), shown)
    if scheme in _POSTGRESQL_SCHEMES:
        normal = f"postgresql+psycopg://{rest}"
        return DatabaseUrl(Dialect.POSTGRESQL, normal, without_password(normal))
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


def _name(rest: str, shown: str) -> str:
    """The name of the file behind ``sqlite://`` + ``rest``."""
    host, _, name = rest.partition("/")
    if host:
        file = shown.partition("://")[2]
        message = f"{shown} names a host, which SQLite does not have: write sqlite:///{file}"
        raise DatabaseError(f"{message} with three slashes.", url=shown)
    if "?" in name:
        message = f"{shown!r} has a '?'; a SQLite URL takes a file's path alone (%3F is one in it)."
        raise DatabaseError(message, url=shown)
    return unquote(name)


def _file(name: str, shown: str) -> DatabaseUrl:
    if not name or name.startswith((":memory:", "file:")):
        message = f"{shown} names no file, so nothing would be kept. Valid: {_VALID}."
        raise DatabaseError(message, url=shown)
    if "\0" in name or name != name.encode("utf-8", "replace").decode():
        message = f"{shown!r} has a zero byte, or bytes that are no UTF-8; name a file without."
        raise DatabaseError(message, url=ascii(shown))
    return DatabaseUrl(Dialect.SQLITE, f"sqlite:///{quote(name)}", shown, Path(name))


def _check_path(text: str, shown: str) -> None:
    """Raises DatabaseError for what is no URL and hardly meant as a path."""
    if not text:
        raise DatabaseError(f"An empty database URL. Valid: {_VALID}.", url=shown)
    if _HALF_A_URL.match(text) or _CREDENTIALS.match(text):
        raise DatabaseError(f"{shown!r} is no database URL. Valid: {_VALID}.", url=shown)
