import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
DOCS = runpy.run_path(str(REPOSITORY / "docs" / "make_cli.py"))
PAGE = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
# `serve` runs until it is stopped: tests/sweep/serve starts it.
EXAMPLES = re.findall(r"Example: (leaksweep (?!serve)(?:.|\n(?!\n))+)", PAGE)
HEAVY = {"torch", "pandas", "sqlalchemy", "alembic", "joblib", "numpy"}


def test_the_reference_of_commands_is_what_the_commands_say():
    assert DOCS["reference"]() == PAGE, "docs/cli.md is out of date: make docs"


def test_every_command_has_an_example():
    sections = [part for part in PAGE.split("\n#")[1:] if "COMMAND [ARGS]" not in part]
    assert [part.splitlines()[0] for part in sections if "Example: leaksweep" not in part] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: " ".join(text.split()))
def test_every_example_runs(leaksweep, url, tmp_path, monkeypatch, example):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(" ".join(example.partition(" > ")[0].split()))[1:]
    if words[0] == "run":
        words += ["--workload", "small", "--steps", "2", "--jobs", "1"]
    if words[0] in ("status", "verify", "publish"):
        words[1] = "held"  # a sweep that is there
    if words[0] == "verify":
        words += ["--jobs", "1"]
    if words[0] == "search":
        words += ["--trials", "2", "--jobs", "1"]
    if words[0] == "edge":
        words += ["--workload", "small", "--steps", "2", "--points", "2", "--jobs", "1"]
        words += ["--set", "optimizer=SGD", "--tolerance", "0.5"]
    if words[0] == "sweep":  # on copies: it changes what is there
        shutil.copy(url.removeprefix("sqlite:///"), tmp_path / "other.db")
        words += ["--db", "new.db" if words[1] == "merge" else "other.db"]
        if words[1] in ("rename", "delete"):
            words[2] = "held"
    if words[0] == "adopt":
        leaksweep("publish", "held", "--storage", words[words.index("--storage") + 1])
    ended = leaksweep(*words)
    assert ended.code == 0, ended.err
    assert ended.out or words[0] in ("publish", "adopt", "sweep")


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("run", "--help"),
        ("sql", "SELECT count(*) FROM trial"),
        ("sql", "SELECT count(*) FROM trial", "--format", "json"),
        ("status",),
        ("show", "axes"),
        ("show", "presets"),
        ("show", "schema"),
    ],
    ids=" ".join,
)
def test_commands_that_read_load_no_heavy_library(url, words):
    code = (
        "import sys\n"
        f"sys.argv = ['leaksweep', *{words!r}]\n"
        "from sweep.cli.app import main\n"
        "try:\n    main()\n"
        f"finally:\n    print(*sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    allowed = {"sqlalchemy"} if words == ("show", "schema") else set()
    assert set(ended.stderr.split()) <= allowed
    assert ended.stdout


def test_no_command_shows_help_and_is_misuse(leaksweep):
    ended = leaksweep()
    assert ended.code == 2
    assert "Usage: leaksweep" in ended.out + ended.err


def test_version_is_the_installed_one(leaksweep):
    from importlib.metadata import version

    assert leaksweep("--version").out == f"leaksweep {version('leaksweep')}\n"


def test_an_interruption_is_one_message_and_130(leaksweep, url, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("sweep.store.query.sweep_status", interrupted)
    ended = leaksweep("status")
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.startswith("Interrupted.")
    assert "Traceback" not in ended.err


def test_an_interruption_while_the_words_are_read_is_told_too(leaksweep, url, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("sweep.cli.app._Program.parse_args", interrupted)
    ended = leaksweep("status")
    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "Interrupted.")


def test_a_thread_that_the_system_refuses_is_one_message(leaksweep, url, monkeypatch):
    def refused(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("sweep.store.query.sweep_status", refused)
    ended = leaksweep("status", "--db", url)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("No thread could be started: can't start new thread. ")
    assert len(ended.err.splitlines()) == 1


def test_no_color_keeps_colours_off(url):
    environment = os.environ | {"NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    ended = subprocess.run(
        [sys.executable, "-m", "sweep", "status"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert "held" in ended.stdout
    assert not re.search(r"\x1b\[(3|4|9)\d", ended.stdout)


def test_a_character_that_the_terminal_lacks_is_written_out(url):
    ended = subprocess.run(
        [sys.executable, "-m", "sweep", "sql", "SELECT '日本' AS place"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
    )
    assert "\\u65e5\\u672c" in ended.stdout
