"""What the page says when it cannot answer.

In the place of Datasette's own plugin for this, which prints every variable of every frame on
stdout, for an address that is not there as for a mistake in the program.
"""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Awaitable
from typing import Any

from datasette import Response, hookimpl
from datasette.database import QueryInterrupted
from datasette.utils.asgi import Base400, NotFound
from datasette.views.base import DatasetteError

from analysis.exceptions import AnalysisError
from sweep.errors import LeaksweepError, nearest
from sweep.serve.metadata import DATABASE, QUERIES
from sweep.store.describe import describe_schema

REPLACED = "datasette.handle_exception"
"""The name of Datasette's own."""

_ADDRESSES = (
    "/results",
    *(f"/{DATABASE}/{table.name}" for table in describe_schema()),
    *(f"/{DATABASE}/{query.name}" for query in QUERIES),
)
_INTERRUPTED = "The query was stopped, as it took longer than queries may."


@hookimpl  # type: ignore[untyped-decorator]  # Datasette has no types
def handle_exception(datasette: Any, request: Any, exception: Exception) -> Awaitable[Any]:
    """The answer to a request that raised, as JSON where JSON was asked for."""
    status, message = _told(exception)
    near: list[str] = []
    if isinstance(exception, NotFound):
        near = nearest(request.path, _ADDRESSES)
        said = f" Did you mean {' or '.join(near)}?" if near else ""
        named = f"There is no page {request.path[:200]!r}." if message == "404" else message
        message = f"{named}{said}"
    return _answer(datasette, request, status, message, near)


def _told(exception: Exception) -> tuple[int, str]:
    """The status and what to say; prints what is a mistake in a program on stderr."""
    if isinstance(exception, DatasetteError):
        return exception.status, _INTERRUPTED if exception.message_is_html else exception.message
    if isinstance(exception, Base400):  # and its kin, such as a page that is not there
        return exception.status, str(exception)
    if isinstance(exception, LeaksweepError | AnalysisError):
        return 503, str(exception)
    if isinstance(exception, QueryInterrupted):
        return 503, _INTERRUPTED
    if isinstance(exception, sqlite3.Error):
        return 503, f"The database does not answer: {exception}"
    traceback.print_exception(exception)
    return 500, "That is a mistake in the program; what it was is on the terminal."


async def _answer(datasette: Any, request: Any, status: int, message: str, near: list[str]) -> Any:
    told = {"ok": False, "error": message, "status": status, "title": None}
    if request.path.endswith(".json"):
        return Response.json(told, status=status)
    whole = {**told, "near": near}
    page = await datasette.render_template(["error.html"], whole, request=request)
    return Response.html(page, status=status)
