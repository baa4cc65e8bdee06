import asyncio
import json
import sqlite3

import pytest
from datasette.database import QueryInterrupted
from datasette.utils.asgi import BadRequest, NotFound
from datasette.views.base import DatasetteError

from sweep.errors import NotThereError
from sweep.serve.launch import datasette
from sweep.serve.refusals import handle_exception
from sweep.store.url import parse_url


class Asked:
    """A request, as much of it as an answer needs."""

    def __init__(self, path):
        self.path, self.args, self.cookies, self.actor = path, {}, {}, None
        self.scope = {"csrftoken": str}


def answered(page, path, exception):
    """The answer to a request for ``path`` that raised ``exception``."""

    async def answer():
        await page.invoke_startup()
        return await handle_exception(page, Asked(path), exception)

    return asyncio.run(answer())


@pytest.fixture(scope="module")
def page(made_once, made_once_url):
    return datasette(parse_url(made_once_url), made_once)


@pytest.mark.parametrize(
    ("exception", "status", "message"),
    [
        (DatasetteError("no such column", status=400), 400, "no such column"),
        (DatasetteError("<p>SQL</p>", status=400, message_is_html=True), 400, "took longer than"),
        (NotFound("no such table"), 404, "no such table"),
        (BadRequest("a bad filter"), 400, "a bad filter"),
        (NotThereError("There is no database"), 503, "There is no database"),
        (QueryInterrupted("interrupted", "SELECT", {}), 503, "took longer than queries may"),
        (sqlite3.OperationalError("disk I/O error"), 503, "does not answer: disk I/O error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_went_wrong_is_told_and_not_on_the_terminal(page, capfd, exception, status, message):
    shown = answered(page, "/results/x", exception)
    assert shown.status == status
    assert message in shown.body
    as_json = answered(page, "/results/x.json", exception)
    assert as_json.status == status
    assert message in json.loads(as_json.body)["error"]
    assert capfd.readouterr() == ("", "")


def test_a_mistake_in_the_program_is_on_the_terminal(page, capfd):
    shown = answered(page, "/results/x", ZeroDivisionError("of a secret"))
    assert shown.status == 500
    assert "a mistake in the program" in shown.body
    assert "secret" not in shown.body
    out, err = capfd.readouterr()
    assert (out, err) == ("", "ZeroDivisionError: of a secret\n")


def test_a_hostile_message_is_escaped(page):
    shown = answered(page, "/results/x", NotFound("<script>alert(1)</script>"))
    assert "<script>alert" not in shown.body
    assert "&lt;script&gt;alert" in shown.body
