"""The lock on the address: only pages that were opened by this machine's own name.

Listening on 127.0.0.1 keeps other machines out, but not other sites in the same browser: a
site may point its own name at 127.0.0.1 and read what answers there (DNS rebinding). Such a
request carries the site's name in its Host header, and is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES = frozenset({b"127.0.0.1", b"localhost"})
_REFUSAL = b"Refused: open this page as http://127.0.0.1 or http://localhost.\n"


def local_only(app: App) -> App:
    """``app``, answering 403 to requests made under any other name than this machine's own."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _name(scope) not in NAMES:
            await _refuse(send)
        else:
            await app(scope, receive, send)

    return guarded


def _name(scope: Scope) -> bytes:
    """The Host header without its port; any port, as it may be forwarded from another."""
    hosts = [value for key, value in scope["headers"] if key == b"host"]
    return hosts[0].partition(b":")[0].lower() if len(hosts) == 1 else b""


async def _refuse(send: Send) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(_REFUSAL)),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL})
