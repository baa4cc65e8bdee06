import hashlib
import json
import signal
import socket
import sqlite3
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from datasette.plugins import DEFAULT_PLUGINS, pm

from sweep.errors import DatabaseError, MisuseError, NotThereError
from sweep.serve.launch import HOST, datasette, listening_socket, serve
from sweep.serve.metadata import QUERIES
from sweep.store.url import parse_url

ENDLESS = urllib.parse.urlencode(
    {"sql": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT max(i) FROM n"}
)


def get(address, *, data=None, **headers):
    """The status and the text of an answer; a redirect is not followed to another machine."""
    request = urllib.request.Request(address, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def rows(address, path):
    """The rows of a page, as dicts."""
    status, text = get(f"{address}{path}.json?_shape=array")
    assert status == 200, text
    return json.loads(text)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_every_question_is_answered(serve_once, query):
    rows(serve_once, f"/results/{query.name}")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/results?sql=DELETE+FROM+trial", None, 400),
        ("/results?sql=PRAGMA+query_only=0", None, 400),
        ("/results?sql=WITH+x+AS+(SELECT+1)+DELETE+FROM+trial", None, 400),
        ("/results?sql=ATTACH+'x'+AS+y", None, 400),
        ("/results?sql=SELECT+load_extension('x')", None, 400),
        ("/results/trial?_where=1);DELETE+FROM+trial;--", None, 400),
        ("/results", b"sql=DELETE FROM trial", 405),
        ("/sweep/traced", b"x=1", 405),
        ("/results/trial", b'{"rows": [{"id": 1}]}', 405),
        ("/results/trial/1", b"x=1", 405),
        ("/results/trial/1/-/delete", b"{}", 405),
        ("/-/create", b"{}", 405),
        ("/results.db", None, 403),
        ("/_memory", None, 404),
        ("/_internal", None, 403),
    ],
)
def test_what_would_write_or_take_more_than_is_shown_is_refused(
    serve_once, made_once, path, body, status
):
    before = digest(made_once)
    assert get(serve_once + path, data=body)[0] == status
    assert digest(made_once) == before


def test_a_query_that_takes_too_long_is_stopped(serve_once):
    status, text = get(f"{serve_once}/results?{ENDLESS}&_timelimit=100")
    assert status == 400
    assert "The query was stopped, as it took longer than queries may." in text


def test_pages_are_not_kept_by_the_browser(serve_once):
    with urllib.request.urlopen(f"{serve_once}/results/trace") as answer:
        assert answer.headers["Cache-Control"] == "no-cache"


def test_a_site_that_points_its_name_here_is_refused(serve_once):
    status, text = get(serve_once, Host="evil.example")
    assert (status, text[:8]) == (403, "Refused:")


def test_it_listens_on_this_machine_alone(serve_once):
    port = urllib.parse.urlsplit(serve_once).port
    table = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    addresses = [line.split()[1:4] for line in table.splitlines() if f":{port:04X} " in line]
    listening = {local for local, _, state in addresses if state == "0A"}
    assert listening == {f"0100007F:{port:04X}"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_ends_quietly_when_it_is_told_to(serve, made_once_url, number):
    process, address = serve(made_once_url)
    with closing(socket.create_connection((HOST, urllib.parse.urlsplit(address).port))):
        assert get(address)[0] == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "Stopped.\n")


def test_a_query_that_runs_when_it_ends_is_answered(serve, made_once_url):
    process, address = serve(made_once_url)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(get, f"{address}/results?{ENDLESS}&_timelimit=2000")
        time.sleep(1)  # it runs by now
        process.send_signal(signal.SIGINT)
        assert "took longer than queries may" in asked.result()[1]
    assert (process.wait(20), process.stderr.read()) == (0, "Stopped.\n")


def test_the_port_that_was_asked_for_is_the_one(serve, made_once_url):
    with closing(listening_socket(0)) as free:
        port = free.getsockname()[1]
    assert serve(made_once_url, port)[1] == f"http://127.0.0.1:{port}"


def test_a_port_in_use_is_one_message(leaksweep_process, made_once_url):
    with closing(listening_socket(0)) as taken:
        port = taken.getsockname()[1]
        ended = leaksweep_process("serve", "--db", made_once_url, "--port", port)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"Port {port} of 127.0.0.1 is in use by another program. Name another with --port; "
        f"--port 0 takes a free one.\n"
    )


def test_of_two_that_start_at_once_one_has_the_port(start_leaksweep, made_once_url):
    with closing(listening_socket(0)) as free:
        port = free.getsockname()[1]
    both = [start_leaksweep("serve", "--db", made_once_url, "--port", port) for _ in range(2)]
    first = [process.stderr.readline() for process in both]
    assert sorted(line.split()[0] for line in first) == ["Browse", "Port"]
    assert get(f"http://{HOST}:{port}/")[0] == 200


def test_a_port_may_be_used_again_at_once(serve, made_once_url):
    process, address = serve(made_once_url)
    assert get(address)[0] == 200
    process.send_signal(signal.SIGINT)
    process.wait(20)
    assert serve(made_once_url, urllib.parse.urlsplit(address).port)[1] == address


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), r"Port 80 of 127\.0\.0\.1 may not be used by "),
        (OSError(99, "Cannot assign"), r"Port 80 .* cannot be used \(Cannot assign\)\. Name anoth"),
    ],
)
def test_a_port_that_cannot_be_had_says_why(monkeypatch, error, message):
    def refuse(self, address):
        raise error

    refusing = type("Refusing", (socket.socket,), {"bind": refuse})
    monkeypatch.setattr("sweep.serve.launch.socket.socket", refusing)
    with pytest.raises(MisuseError, match=message):
        listening_socket(80)


def test_a_database_that_is_not_there_is_not_made(leaksweep, tmp_path):
    ended = leaksweep("serve", "--db", f"sqlite:///{tmp_path}/none.db")
    assert ended.code == 1
    assert "There is no database at" in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("postgresql://me:secret@host/x", DatabaseError, r"SQLite files alone, not .*me:\*\*\*@ho"),
        ("sqlite:////none/such.db", NotThereError, "There is no database"),
        ("sqlite:sweep.db", DatabaseError, "is no database URL"),
    ],
)
def test_what_is_no_sqlite_database_is_told(url, kind, message):
    with pytest.raises(kind, match=message):
        serve(url, 0, announce=pytest.fail)


def test_another_programs_database_is_told(tmp_path):
    with closing(sqlite3.connect(tmp_path / "x.db")) as opened, opened:
        opened.execute("CREATE TABLE theirs (a)")
    with pytest.raises(DatabaseError, match="the database of another program"):
        serve(f"sqlite:///{tmp_path}/x.db", 0, announce=pytest.fail)


def test_a_missing_datasette_is_told(leaksweep, made_once_url, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasette.app", None)
    ended = leaksweep("serve", "--db", made_once_url, "--port", 0)
    assert ended.code == 2
    assert ended.err.endswith("is not installed: pip install 'leaksweep[web]'.\n")


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_what_is_no_port_is_misuse(leaksweep, port):
    ended = leaksweep("serve", "--port", port)
    assert ended.code == 2
    assert "--port" in ended.err


def test_plugins_of_others_are_not_run(made_once, made_once_url):
    class Theirs:
        __name__ = "theirs"

    pm.register(Theirs(), "theirs")
    datasette(parse_url(made_once_url), made_once)
    names = {name for name, _ in pm.list_name_plugin()}
    assert names == {*DEFAULT_PLUGINS, "sweep.serve.refusals", "sweep.serve.pages"} - {
        "datasette.handle_exception"
    }


@pytest.mark.slow
def test_seven_endless_queries_do_not_keep_the_front_page(serve, made_once_url):
    _, address = serve(made_once_url)
    with ThreadPoolExecutor(7) as pool:
        asked = [pool.submit(get, f"{address}/results?{ENDLESS}") for _ in range(7)]
        time.sleep(0.5)
        begun = time.monotonic()
        assert get(address)[0] == 200
        assert time.monotonic() - begun < 3
        assert {each.result()[0] for each in asked} <= {400, 503}
    assert rows(address, "/results/trace")


@pytest.mark.slow
def test_a_second_interruption_does_not_wait_for_a_query(serve, made_once_url):
    process, address = serve(made_once_url)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(get, f"{address}/results?{ENDLESS}")
        time.sleep(1)  # it runs by now
        process.send_signal(signal.SIGINT)
        time.sleep(0.7)  # what comes sooner is the same keystroke
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert time.monotonic() - begun < 2
        assert isinstance(asked.exception(), OSError) or asked.result()[0] >= 400
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
    ids=str,
)
def test_what_another_site_sends_is_refused(serve_once, headers, status):
    assert get(serve_once, **headers)[0] == status
    assert get(f"{serve_once}/results?sql=SELECT+1", **headers)[0] == status


STRANGE = {
    "/" + "a" * 1900: {404},
    "/results/" + "a" * 1900: {404},
    "/results/trial/" + "a" * 1900: {404},
    "/sweep/" + "a" * 1900: {404},
    "/" + "a" * 5000: {414},
    "/" + "a" * 100_000: {400, 414},
    "/%00": {404},
    "/sweep/%FF%00/trials": {404},
}


def test_a_strange_path_is_refused_without_a_word_on_the_terminal(serve, made_once_url):
    process, address = serve(made_once_url)
    for path, statuses in STRANGE.items():
        assert get(address + path)[0] in statuses, path[:20]
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[1] == "Stopped.\n"


def test_every_page_says_what_it_may_do(serve_once):
    for path in ("/", "/results", "/sweep/no", "/style/leaksweep.js"):
        request = urllib.request.Request(serve_once + path)
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            assert "default-src 'none'; script-src 'self' 'sha256-" in str(
                answer.headers["Content-Security-Policy"]
            )


def test_a_strangers_search_table_takes_no_page_away(serve, database, url):
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.execute("CREATE VIRTUAL TABLE theirs USING fts5(a)")
        opened.execute("INSERT INTO theirs VALUES ('x')")
    process, address = serve(url)
    for path in ("/", "/results", "/results/trial", "/sweep/traced/trials"):
        assert get(address + path)[0] == 200, path
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[1] == "Stopped.\n"
