import asyncio

import pytest

from sweep.serve.door import guarded


def answered(scope):
    """The status that a request gets."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    asyncio.run(guarded(app)(scope, None, send))
    return sent[0]["status"]


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        ([b"127.0.0.1:8001"], 200),
        ([b"127.0.0.1"], 200),
        ([b"localhost:9000"], 200),
        ([b"LocalHost"], 200),
        ([b"evil.example:8001"], 403),
        ([b"127.0.0.1.evil.example:8001"], 403),
        ([b"localhost.evil.example"], 403),
        ([b""], 403),
        ([], 403),
        ([b"127.0.0.1", b"evil.example"], 403),
    ],
    ids=str,
)
def test_only_this_machines_own_names_are_answered(hosts, status):
    headers = [(b"accept", b"*/*"), *((b"host", host) for host in hosts)]
    assert answered({"type": "http", "method": "GET", "headers": headers}) == status


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 200), ("HEAD", 200), ("POST", 405), ("PUT", 405), ("DELETE", 405), ("PATCH", 405)],
)
def test_only_what_reads_is_answered(method, status):
    headers = [(b"host", b"localhost")]
    assert answered({"type": "http", "method": method, "headers": headers}) == status


def test_what_is_no_request_passes():
    assert answered({"type": "lifespan"}) == 200


def test_a_mistake_of_the_program_is_told_on_the_terminal(capsys):
    async def app(scope, receive, send):
        raise ZeroDivisionError("here")

    scope = {"type": "http", "method": "GET", "headers": [(b"host", b"localhost")]}
    with pytest.raises(ZeroDivisionError):
        asyncio.run(guarded(app)(scope, None, None))
    assert "ZeroDivisionError: here" in capsys.readouterr().err


@pytest.mark.parametrize("host", [b"127.0.0.1:80, evil.example", b"localhost:x"])
def test_a_host_with_more_than_a_port_is_refused(host):
    headers = [(b"host", host)]
    assert answered({"type": "http", "method": "GET", "headers": headers}) == 403
