"""The pages that are ours: sweeps, their tables and reports, their trials.

Each is a function from what was asked to a template and what stands in it, called in a thread
and bounded as every question is. Datasette's own pages of tables, rows and SQL are beside them.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from sqlite3 import Connection
from typing import Any, TypeAlias
from urllib.parse import unquote

from datasette import Response, hookimpl
from datasette.views.base import DatasetteError
from markupsafe import Markup

from analysis.exceptions import UnknownChoiceError
from sweep.serve import listing
from sweep.serve.cells import cell, db_option, sweep_address
from sweep.serve.database import ReadOnlyDatabase
from sweep.serve.metadata import DATABASE, QUERIES, TITLE
from sweep.serve.trial_card import side_by_side, trial_card
from sweep.store.query import no_such_sweep, sweep_status

LIMIT_S = 20.0
REPORT_LIMIT_S = 120.0  # figures are drawn for it
FOLLOW_S = 3
FOLLOW_IDLE_S = 15  # somebody may begin one
MOST_ON_A_PAGE = 50  # sweeps
MOST_COMPARED = 12
REPORT_POLICY = "frame-ancestors 'none'"  # the rest the report says itself
_FILES = ("csv", "json", "markdown", "latex")

Context = dict[str, Any]
Made: TypeAlias = Any
"""A template's name and its context; or a whole answer of Datasette's, which has no types."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page was asked for: names in its address, Datasette's arguments, and the database."""

    database: ReadOnlyDatabase
    names: Mapping[str, str]
    args: Any

    @property
    def db(self) -> str:
        """The database as readers take it: its path, in which nothing has another meaning."""
        return str(self.database.path)

    def number(self, name: str) -> int:
        """The argument as a whole number from 1 on; 1 for what is none."""
        text = self.args.get(name, "")
        return max(1, int(text)) if text.isdecimal() and len(text) < 16 else 1

    def order(self) -> Context:
        """The words by which rows are filtered, the column that sorts them, and the direction."""
        return {
            "wanted": {name: self.args[name] for name in listing.FILTERS if self.args.get(name)},
            "sort": self.args.get("sort", ""),
            "descending": self.args.get("order") == "desc",
        }

    def connection(self) -> closing[Connection]:
        """A connection for reading, closed with the context."""
        return closing(self.database.connect(limit_s=LIMIT_S))

    def about_sweep(self) -> Context:
        """The sweep that the address names. Raises DatasetteError, with the nearest names."""
        statuses = sweep_status(self.db)
        name = self.names.get("sweep") or f"~{self.names['number']}"
        for status in statuses:
            if name in (status.name, f"~{status.id}"):
                found = listing.glance(self.db, status)
                follow = FOLLOW_S if found.state is listing.SweepState.RUNNING else None
                return {"glance": found, "name": status.name, "follow": follow}
        raise _not_there(no_such_sweep(name[:200], [status.name for status in statuses]))


def _front(asked: Asked) -> Made:
    """The sweeps, newest first."""
    statuses = sweep_status(asked.db)[::-1]
    begin = asked.number("from") - 1
    shown = [listing.glance(asked.db, each) for each in statuses[begin : begin + MOST_ON_A_PAGE]]
    runs = any(each.state is listing.SweepState.RUNNING for each in shown)
    return "sweeps.html", {
        "question": TITLE,
        "sweeps": shown,
        "more": max(0, len(statuses) - begin - len(shown)),
        "next": begin + 1 + MOST_ON_A_PAGE,
        "queries": QUERIES,
        "follow": FOLLOW_S if runs else FOLLOW_IDLE_S,
    }


def _of_sweep(asked: Asked) -> Made:
    """One sweep: how far it is, and the tables that say something of its kind."""
    from analysis.load import load_sweeps
    from analysis.tables import SUMMARIES, WATCHED_TABLE

    about = asked.about_sweep()
    kind = next(each.kind for each in load_sweeps(asked.db) if each.name == about["name"])
    summaries = [each for each in (WATCHED_TABLE, *SUMMARIES.values()) if kind in each.kinds]
    queries = [query for query in QUERIES if "sweep" in query.parameters]
    return "sweep.html", {**about, "summaries": summaries, "queries": queries}


def _summary(asked: Asked) -> Made:
    """A summary table of a sweep, filtered and sorted; or as a file."""
    from analysis.formats import FileFormat, written
    from analysis.tables import summary_of

    about, name = asked.about_sweep(), asked.names["table"]
    try:
        made = summary_of(name, asked.db, about["name"])
    except UnknownChoiceError as error:
        raise _not_there(str(error)) from error
    rows = made.table(asked.db, about["name"])
    if (file := asked.args.get("format")) in _FILES:
        text = written(rows, name, made.caption, FileFormat(file)).decode()
        return Response(text, content_type="text/plain; charset=utf-8")
    table = listing.summary_rows(rows, name, made.caption, **asked.order())
    command = f"leaksweep table {name} {shlex.quote(about['name'])}{db_option(asked.db)}"
    more = {"command": command, "formats": _FILES, "summary": made, "table": table}
    return "summary.html", {**about, **asked.order(), **more}


def _trials(asked: Asked) -> Made:
    """The trials of a sweep."""
    about, order, page = asked.about_sweep(), asked.order(), asked.number("page")
    if order["sort"] not in listing.COLUMNS:
        order |= {"sort": "id", "descending": False}
    with asked.connection() as connection:
        listed = listing.listed_trials(connection, about["glance"].status.id, page=page, **order)
    pages = math.ceil(listed.found / listing.A_PAGE)
    return "trials.html", {**about, **order, "trials": listed, "page": page, "pages": pages}


def _trial(asked: Asked) -> Made:
    """One trial's card."""
    text = asked.names["trial"]
    with asked.connection() as connection:
        card = trial_card(connection, int(text)) if _is_id(text) else None
        if card is None:
            raise _not_there(_no_such_trial(text, connection))
    sweep = str(card.trial["sweep"])
    address = sweep_address(card.trial["sweep_id"], sweep)
    return "trial.html", {"card": card, "sweep": sweep, "address": address, "db": asked.db}


def _compare(asked: Asked) -> Made:
    """Trials side by side."""
    ids = [int(text) for text in asked.args.getlist("trial") if _is_id(text)][:MOST_COMPARED]
    with asked.connection() as connection:
        lines = side_by_side(connection, ids)
    if not lines:
        raise _not_there("Tick trials in a list of them, and they are compared here.")
    return "compare.html", {"lines": lines}


def _report(asked: Asked) -> Made:
    """The sweep's report, made anew."""
    from analysis.report.content import sections
    from analysis.report.page import page

    text = page(sections(asked.db, asked.about_sweep()["name"]))
    return Response.html(text, headers={"content-security-policy": REPORT_POLICY})


def _not_there(message: str) -> DatasetteError:
    return DatasetteError(message, status=404)  # a NotFound is first sent to another address


def _is_id(text: str) -> bool:
    return text.isdecimal() and len(text) < 19


def _no_such_trial(text: str, connection: Connection) -> str:
    least, most = connection.execute("SELECT min(id), max(id) FROM trial").fetchone()
    there = (
        "None is recorded yet." if least is None else f"Their numbers go from {least} to {most}."
    )
    return f"There is no trial {text[:40]!r}. {there}"


PAGES: Mapping[str, Callable[[Asked], Made]] = {
    r"/$": _front,
    r"/compare$": _compare,
    r"/trial/(?P<trial>[^/]+)$": _trial,
    r"/results/trial/(?P<trial>\d+)$": _trial,  # where Datasette's tables lead to
    r"/results/sweep/(?P<number>\d+)$": _of_sweep,
    r"/sweep/(?P<sweep>[^/]+)$": _of_sweep,
    r"/sweep/(?P<sweep>[^/]+)/trials$": _trials,
    r"/sweep/(?P<sweep>[^/]+)/report$": _report,
    r"/sweep/(?P<sweep>[^/]+)/(?P<table>[^/]+)$": _summary,
}
"""Every page by its address."""


@hookimpl  # type: ignore[untyped-decorator]  # Datasette has no types
def register_routes(datasette: Any) -> list[tuple[str, Callable[..., Any]]]:
    """Our pages, which come before Datasette's own."""
    return [(address, _view(make)) for address, make in PAGES.items()]


@hookimpl  # type: ignore[untyped-decorator]
def render_cell(value: Any, column: str, table: str | None) -> Markup | None:
    """A number, a verdict or a trial in a table of Datasette's; the rest is left to it."""
    shown = cell("another id" if column == "id" and table != "trial" else column, value)
    if shown.verdict:
        return Markup('<span class="chip {0}">{0}</span>').format(shown.verdict)
    if shown.link:
        return Markup('<a class="number" href="{}">{}</a>').format(shown.link, shown.text)
    if shown.is_number:
        return Markup('<span class="number" title="{}">{}</span>').format(
            shown.title or shown.text, shown.text
        )
    return None


def _view(make: Callable[[Asked], Made]) -> Callable[..., Any]:
    """The page as Datasette calls it."""

    async def view(datasette: Any, request: Any) -> Any:
        database = datasette.get_database(DATABASE)
        names = {name: unquote(text) for name, text in request.url_vars.items()}
        asked = Asked(database, names, request.args)
        is_report = make is _report
        places = database.reports if is_report else database.pages
        limit_s = REPORT_LIMIT_S if is_report else LIMIT_S
        made = await places.answer(partial(make, asked), limit_s=limit_s)
        if isinstance(made, Response):
            return made
        template, context = made
        whole = {**context, "args": request.args}
        return Response.html(await datasette.render_template(template, whole, request=request))

    return view
