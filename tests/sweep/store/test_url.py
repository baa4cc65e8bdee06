import pytest

from sweep.errors import DatabaseError
from sweep.store.store import Store
from sweep.store.url import Backend, parse_url, without_password


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///results/x.db", "results/x.db"),
        ("sqlite:////tmp/x.db", "/tmp/x.db"),
        ("sqlite:///a b%20é.db", "a b%20é.db"),
        ("SQLite:///x.db", "x.db"),
    ],
)
def test_a_sqlite_url_names_a_file(text, path):
    assert str(parse_url(text).path) == path


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_postgresql_urls_are_one_kind(scheme):
    url = parse_url(f"{scheme}://me:hush@host:5432/x")
    assert url.backend is Backend.POSTGRESQL
    assert url.shown == "postgresql+psycopg://me:***@host:5432/x"
    assert url.libpq == "postgresql://me:hush@host:5432/x"
    assert "hush" not in repr(url)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("results/x.db", "is a path, not a database URL. For that file: sqlite:///results/x.db"),
        ("", "An empty database URL. Valid: sqlite:///FILE or postgresql"),
        ("sqlite://", "names no file, so nothing would be kept"),
        ("sqlite:///:memory:", "names no file, so nothing would be kept"),
        ("sqlite:///file:x?uri=true", "names no file, so nothing would be kept"),
        ("sqlite:///x.db?mode=ro", "takes a file's path alone"),
        ("sqlite:///x\0.db", "takes a file's path alone"),
        ("sqlite://results/x.db", "write sqlite:///results/x.db with three slashes"),
        ("mysql://me:hush@host/x", "the kind 'mysql' are not supported: mysql://me:[*]{3}@host"),
        ("me:hush@host", "'me:[*]{3}@host' is no database URL"),
    ],
)
def test_what_cannot_be_a_database_is_answered_with_what_can(text, message):
    with pytest.raises(DatabaseError, match=message) as caught:
        parse_url(text)
    assert "hush" not in str(caught.value)
    assert "hush" not in caught.value.url


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:hush@host/x",
        "postgresql://me:hu:hush@sh@host/x",
        "postgresql://me:hush/hush@host/x",
        "postgresql://host/x?password=hush&sslpassword=hush",
        "postgresql://:hush@host",
        "connection to postgresql://me:hush@host failed",
    ],
)
def test_no_password_is_shown(text):
    assert "hush" not in without_password(text)


def test_a_url_that_does_not_hold_together_is_refused_without_its_password():
    with pytest.raises(
        DatabaseError, match=r"me:\*\*\*@host:x/y is no valid database URL"
    ) as caught:
        Store.open("postgresql://me:hush@host:x/y")
    assert "hush" not in str(caught.value)
