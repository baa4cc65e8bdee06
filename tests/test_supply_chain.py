"""What comes with the program: pinned, hashed, under known licences, and calling nobody."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
)
HASHES = (ROOT / "pins" / "hashes.txt").read_text()
LICENCES = tomllib.loads((ROOT / "pins" / "licences.toml").read_text())


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


class TestPins:
    def test_every_pin_has_a_hash_and_nothing_else_has(self):
        hashed = dict(re.findall(r"^(\S+)==(\S+) \\$", HASHES, re.MULTILINE))
        assert {canonical(name): version for name, version in hashed.items()} == {
            canonical(name): version for name, version in PINS.items()
        }, "constraints.txt and pins/hashes.txt differ: make hashes"

    def test_pip_takes_the_file_of_hashes_for_one(self):
        blocks = re.sub(r" \\\n\s+", " ", HASHES).splitlines()
        entries = [line for line in blocks if not line.startswith("#")]
        assert len(entries) == len(PINS)
        for entry in entries:
            assert re.fullmatch(r"\S+==\S+( --hash=sha256:[0-9a-f]{64})+", entry), entry

    def test_what_is_installed_is_what_is_pinned(self):
        installed = {name: distribution(name).version.partition("+")[0] for name in PINS}
        assert installed == PINS

    def test_whatever_the_program_requires_is_pinned(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = [each for extra in project["optional-dependencies"].values() for each in extra]
        named = {re.match(r"[\w.-]+", each)[0] for each in (*project["dependencies"], *extras)}
        pinned = {canonical(name) for name in PINS}
        assert {canonical(name) for name in named} - {"leaksweep"} - pinned == set()


def stated(name):
    """What a package says its licence is, as an SPDX expression where that can be told."""
    metadata = distribution(name).metadata
    classifiers = [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier", ())]
    classified = [c for c in classifiers if c in LICENCES["spelled"] or c == "Public Domain"]
    # Some put the licence's whole text where its name should be.
    text = metadata.get("License") or ""
    written = text if 0 < len(text) < 40 and text != "UNKNOWN" else next(iter(classified), text)
    said = metadata.get("License-Expression") or written
    return LICENCES["spelled"].get(said, said)


def terms(expression):
    """The licences that an SPDX expression names, of which all must be allowed."""
    return re.split(r" (?:AND|OR) ", expression.replace("(", "").replace(")", ""))


class TestLicences:
    @pytest.mark.parametrize("name", PINS)
    def test_it_is_allowed_or_an_exception_with_a_reason(self, name):
        expression, exceptions = stated(name), LICENCES["exceptions"]
        if canonical(name) in exceptions:
            licence, reason = exceptions[canonical(name)]
            assert expression == licence
            assert len(reason) > 10
        else:
            unknown = set(terms(expression)) - set(LICENCES["allowed"])
            assert not unknown, f"{name} is under {expression}; see pins/licences.toml"

    def test_every_exception_is_of_a_pinned_package(self):
        assert set(LICENCES["exceptions"]) <= {canonical(name) for name in PINS}

    def test_a_licence_that_nobody_allowed_is_noticed(self):
        assert set(terms("MIT AND (AGPL-3.0-only OR MIT)")) - set(LICENCES["allowed"]) == {
            "AGPL-3.0-only"
        }

    def test_what_asks_for_more_than_notices_is_no_plain_dependency_of_the_program(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        required = {canonical(re.match(r"[\w.-]+", each)[0]) for each in project["dependencies"]}
        assert required & set(LICENCES["exceptions"]) == set()


GUARD = '''
"""Python imports this when it starts: what reaches for another machine is noted and refused."""
import os
import sys

def _guard(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        local = not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1", "localhost")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        address = arguments[0]
        local = address in (None, "", "127.0.0.1", "::1", "localhost", b"localhost")
    else:
        return
    if not local:
        with open(os.environ["CALLS"], "a") as calls:
            calls.write(f"{event} {address}\\n")
        raise PermissionError(f"no network: {event} {address}")

sys.addaudithook(_guard)
'''

COMMANDS = """
set -e
"$PYTHON" -m leaksweep run --workload small --steps 2 --set optimizer=SGD --name offline --jobs 2
"$PYTHON" -m leaksweep export --out summary
"$PYTHON" -m leaksweep report --out report.html
"$PYTHON" -m leaksweep verify offline --sample 2 --jobs 1
"""


@pytest.fixture
def offline(tmp_path):
    """Runs a shell's commands in a folder of their own; what they print and where they ran."""

    def run(*words, **environment):
        database = {"LEAKSWEEP_DB": f"sqlite:///{tmp_path}/sweep.db", "PYTHON": sys.executable}
        env = os.environ | database | environment
        return subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)

    return run


@pytest.fixture
def guarded(offline, tmp_path):
    """The same under the guard; `calls` is the file with what reached for another machine."""
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))

    def run(*words):
        return offline(*words, PYTHONPATH=path, CALLS=str(tmp_path / "calls"))

    return run


@pytest.fixture
def unshared(offline):
    """Words to put before a command, so that it has no network; none where a kernel refuses."""
    words = ("unshare", "-rn")
    possible = shutil.which("unshare") is not None and not offline(*words, "true").returncode
    return words if possible else ()


@pytest.mark.slow
def test_a_sweep_its_export_and_its_report_reach_for_no_other_machine(guarded, unshared, tmp_path):
    done = guarded(*unshared, "bash", "-c", COMMANDS)
    calls = tmp_path / "calls"
    assert not calls.exists(), calls.read_text()
    assert done.returncode == 0, done.stderr
    assert "2 agree" in done.stdout
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    "call",
    ["socket.create_connection(('192.0.2.1', 80), timeout=1)", "socket.gethostbyname('a.test')"],
)
def test_the_guard_notices_a_call(guarded, tmp_path, call):
    done = guarded(sys.executable, "-c", f"import socket; {call}")
    assert "no network: socket." in done.stderr
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
