"""Starting the page: one socket on 127.0.0.1, Datasette behind it, until Ctrl-C."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.errors import DatabaseError, MisuseError
from sweep.serve.metadata import DATABASE, STYLE, metadata
from sweep.store.sqlite_reader import read_only_connection
from sweep.store.url import DatabaseUrl, parse_url

if TYPE_CHECKING:
    from datasette.app import Datasette

HOST = "127.0.0.1"

SETTINGS = {
    "sql_time_limit_ms": 5_000,
    "facet_time_limit_ms": 1_000,
    "max_returned_rows": 5_000,
    "truncate_cells_html": 200,
    "default_cache_ttl": 0,  # so that reloading shows what a running sweep has recorded since
    "suggest_facets": False,  # would count every one of some forty columns on every page
    "allow_download": False,  # the file alone lacks what is still in its write-ahead log
    "allow_csv_stream": False,  # holds a place for as long as somebody reads
}
"""What differs from Datasette's own settings. Anyone on this machine may run SQL that reads."""

_GRACE_S = 10  # for what is being answered when the page is closed
_WAITING = 64
_NO_PORT = {
    errno.EADDRINUSE: "is in use by another program",
    errno.EACCES: "may not be used by you",
    errno.EPERM: "may not be used by you",
}


def serve(url: str, port: int, *, announce: Callable[[str], None]) -> None:
    """Serves the database at ``url`` to this machine until it is interrupted.

    ``announce`` is given the address once it can be opened. Port 0 takes a free one. Raises
    MisuseError for a port that cannot be had or where Datasette is not installed,
    NotThereError where there is no database, and DatabaseError for one that cannot be read
    or that is not SQLite. An interruption that comes while serving ends it quietly.
    """
    database = parse_url(url)
    if database.path is None:
        raise DatabaseError(
            f"`leaksweep serve` reads SQLite files alone, not {database.shown}: Datasette knows "
            f"no other database. `leaksweep sql` and `leaksweep export` read it.",
            url=database.shown,
        )
    read_only_connection(database, database.path).close()  # it can be opened, and is ours
    page = datasette(database, database.path)
    with closing(listening_socket(port)) as listening:
        announce(f"http://{HOST}:{listening.getsockname()[1]}/")
        _run(page, listening)


def datasette(url: DatabaseUrl, path: Path) -> Datasette:
    """Datasette on that file, with our metadata and settings, and no plugin of others.

    Raises MisuseError where Datasette is not installed.
    """
    try:
        from datasette.app import Datasette
        from datasette.plugins import DEFAULT_PLUGINS, pm

        from sweep.serve import cells, pages, refusals
        from sweep.serve.database import ReadOnlyDatabase
    except ImportError as error:
        raise MisuseError(
            "`leaksweep serve` needs Datasette, which is not installed: "
            "pip install 'leaksweep[web]'."
        ) from error
    for name, plugin in pm.list_name_plugin():
        if name not in DEFAULT_PLUGINS or name == refusals.REPLACED:
            pm.unregister(plugin)
    pm.register(refusals)
    pm.register(pages)
    here = Path(__file__).parent
    page = Datasette(
        metadata=metadata(),
        settings=SETTINGS,
        static_mounts=[(STYLE, str(here / "static"))],
        template_dir=str(here / "templates"),
    )
    page.remove_database("_memory")  # Datasette's own, there where it is given no file
    page.add_database(ReadOnlyDatabase(page, url, path), name=DATABASE)
    page.jinja_env.globals |= {
        **{each.__name__: each for each in (cells.cell, cells.db_option, cells.query_string)},
        "source": url.shown,
    }
    return page


def listening_socket(port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1 alone; the caller closes it. Raises MisuseError.

    Listening at once is what finds out whether the port is free: nobody can take it between
    a look and the start.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(_WAITING)
    except OSError as error:
        listening.close()
        reason = _NO_PORT.get(error.errno or 0, f"cannot be used ({error.strerror})")
        raise MisuseError(
            f"Port {port} of {HOST} {reason}. Name another with --port; --port 0 takes a free one."
        ) from error
    return listening


def _run(page: Datasette, listening: socket.socket) -> None:
    import uvicorn

    from sweep.serve.door import guarded

    # At its end it lets running queries finish, which their time limit sees to; a second
    # Ctrl-C does not wait. What is no HTTP, and what is cut off then, ends without a word.
    config = uvicorn.Config(
        guarded(page.app()),
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
        server_header=False,
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:  # raised again by uvicorn after it has closed all connections
        return
    finally:
        page.get_database(DATABASE).close()
