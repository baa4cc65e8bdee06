"""The lock on the address: this machine's own name, its own pages, and only what reads.

Listening on 127.0.0.1 keeps other machines out, but not other sites in the same browser. A
site may point its own name at 127.0.0.1 and read what answers there (DNS rebinding): its name
is in the Host header. Or it may send requests without reading the answers, which is enough to
keep the machine busy: browsers say where a request comes from in Sec-Fetch-Site and Origin.
All of these are refused, as is whatever does not read. Each answer says what its page may do:
run no script but our own, and load nothing from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from datasette.utils.asgi import asgi_send

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES = frozenset({b"127.0.0.1", b"localhost"})
METHODS = frozenset({"GET", "HEAD"})
OUR_SITE = frozenset({b"same-origin", b"none"})  # none: an address that a person typed or kept
LONGEST_PATH = 2000
_TEXT = "text/plain; charset=utf-8"

# The one script that Datasette writes into a page of its own, a constant.
_DATASETTES = base64.b64encode(hashlib.sha256(b"DATASETTE_ALLOW_FACET = true;").digest()).decode()
_POLICY = (
    f"default-src 'none'; script-src 'self' 'sha256-{_DATASETTES}'; style-src 'self' "
    f"'unsafe-inline'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    f"base-uri 'none'; frame-ancestors 'none'"
).encode()
HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def guarded(app: App) -> App:
    """``app``, behind a door that refuses what is not a page of this machine reading another."""

    async def behind_door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        refused = _refused(scope)
        if refused is not None:
            status, text = refused
            await asgi_send(_told_what_it_may(send), f"{text}\n", status, content_type=_TEXT)
            return
        try:
            await app(scope, receive, _told_what_it_may(send))
        except Exception as error:  # a mistake in the program, told here alone
            traceback.print_exception(error)
            raise

    return behind_door


def _refused(scope: Scope) -> tuple[int, str] | None:
    """The status and the words with which a request is refused; None for one that is answered."""
    host = _header(scope, b"host")
    name, _, port = host.partition(b":")
    if name.lower() not in NAMES or not (port or b"0").isdigit():  # any port: it may be forwarded
        return 403, "Refused: open this page as http://127.0.0.1 or http://localhost."
    site, origin = _header(scope, b"sec-fetch-site"), _header(scope, b"origin")
    if (site and site not in OUR_SITE) or (origin and origin != b"http://" + host):
        return 403, "Refused: another site sent you here. Type the address, or go on from its page."
    if scope["method"] not in METHODS:
        return 405, "Refused: this page is for reading only."
    if len(scope.get("raw_path") or scope.get("path", "")) > LONGEST_PATH:
        return 414, f"Refused: no address here is longer than {LONGEST_PATH:,} letters."
    return None


def _header(scope: Scope, name: bytes) -> bytes:
    """The header of that name; one that comes twice is what nobody says."""
    found = [value for key, value in scope["headers"] if key == name]
    return found[0] if len(found) == 1 else b", ".join(found)


def _told_what_it_may(send: Send) -> Send:
    """``send`` with our headers on each answer, where it does not have them already."""

    async def told(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            there = {key.lower() for key, _ in message["headers"]}
            more = [header for header in HEADERS if header[0] not in there]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return told
