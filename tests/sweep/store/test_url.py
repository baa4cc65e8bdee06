from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url

from analysis.exceptions import DatabaseMissingError
from analysis.load import load_sweeps
from sweep.errors import DatabaseError
from sweep.store.store import Store
from sweep.store.url import Dialect, parse_url, without_password


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///results/x.db", "results/x.db"),
        ("sqlite:////tmp/x.db", "/tmp/x.db"),
        ("sqlite:///a b%20é.db", "a b é.db"),
        ("sqlite:///a%2520b.db", "a%20b.db"),
        ("sqlite:///a%3Fb%23.db", "a?b#.db"),
        ("sqlite:///a@b+c.db", "a@b+c.db"),
        ("SQLite:///x.db", "x.db"),
        (" results/x.db ", "results/x.db"),
        ("my%20runs.db", "my%20runs.db"),
        ("run@2?.db", "run@2?.db"),
        ("sweep", "sweep"),
        (Path("a b.db "), "a b.db "),
    ],
)
def test_a_url_or_a_path_is_one_file_for_whoever_reads_it(text, path, tmp_path, monkeypatch):
    parsed = parse_url(text)
    assert str(parsed.path) == path
    assert make_url(parsed.text).database == path
    assert parse_url(parsed.text) == replace(parsed, shown=parsed.text)
    monkeypatch.chdir(tmp_path)
    for given in (text, parsed.text):
        with pytest.raises(DatabaseMissingError) as missing:
            load_sweeps(given)
        assert missing.value.path == path


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_postgresql_urls_are_one_kind(scheme):
    url = parse_url(f"{scheme}://me:hush@host:5432/x")
    assert url.backend is Dialect.POSTGRESQL
    assert url.shown == "postgresql+psycopg://me:***@host:5432/x"
    assert url.libpq == "postgresql://me:hush@host:5432/x"
    assert "hush" not in repr(url)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sqlite:results/x.db",
            "'sqlite:results/x.db' is no database URL. Valid: FILE, sqlite:///",
        ),
        ("postgresql:host/x", "is no database URL"),
        ("", "An empty database URL. Valid: FILE, sqlite:///FILE or postgresql"),
        ("sqlite://", "names no file, so nothing would be kept"),
        ("sqlite:///:memory:", "names no file, so nothing would be kept"),
        ("sqlite:///file:x", "names no file, so nothing would be kept"),
        (":memory:", "names no file, so nothing would be kept"),
        ("sqlite:///x.db?mode=ro", "takes a file's path alone"),
        ("sqlite:///x%00.db", "has a zero byte, or bytes that are no UTF-8"),
        ("x\udcff.db", "has a zero byte, or bytes that are no UTF-8"),
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
