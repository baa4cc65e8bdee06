"""The lock on the address: requests by this machine's own name, and only those that read.

Listening on 127.0.0.1 keeps other machines out, but not other sites in the same browser: a
site may point its own name at 127.0.0.1 and read what answers there (DNS rebinding). Such a
request carries the site's name in its Host header, and is refused. Nothing on the page is
sent by POST, so that is refused, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES = frozenset({b"127.0.0.1", b"localhost"})
METHODS = frozenset({"GET", "HEAD"})


def guarded(app: App) -> App:
    """``app``, behind a door that answers 403 to other names and 405 to other methods."""

    async def behind_door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
        elif _name(scope) not in NAMES:
            text = "Refused: open this page as http://127.0.0.1 or http://localhost."
            await _refuse(send, 403, text)
        elif scope["method"] not in METHODS:
            await _refuse(send, 405, "Refused: this page is for reading only.")
        else:
            await app(scope, receive, send)

    return behind_door


def _name(scope: Scope) -> bytes:
    """The Host header without its port; any port, as it may be forwarded from another."""
    hosts = [value for key, value in scope["headers"] if key == b"host"]
    return hosts[0].partition(b":")[0].lower() if len(hosts) == 1 else b""


async def _refuse(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
