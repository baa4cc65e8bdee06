"""The commands of README and docs/: those that end in seconds run as written, in their order; of
the others the words are read as the program reads them."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from sweep.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")
BIN = Path(sys.executable).parent

TOO_LONG = {
    "make sweep": "its steps are tests of their own",
    "make test": "is what runs this",
    "leaksweep run --preset full": "minutes",
    "leaksweep run --preset remedies": "a minute or two",
    "leaksweep run --preset cost && leaksweep table cost": "minutes",
    "leaksweep run mine.toml --set lr=0.1,0.001": "half a minute",
    "leaksweep run --backend dask --scheduler tcp://10.0.0.1:8786": "that cluster is not here",
    "leaksweep search --preset remedies --trials 200": "minutes",
    "leaksweep verify --sample 200 --from results/reference/remedies/trials.csv.gz": "a minute",
    "leaksweep report && leaksweep serve": "it serves until it is interrupted",
}
"""Commands of the README that are not run here, and why."""


def commands(text):
    """The commands that stand on lines of their own, without prompts and comments."""
    found, lines = [], text.splitlines()
    while lines:
        line = lines.pop(0)
        if not re.match(r"(?:    |\$ )?(?:leaksweep|make) \S", line):
            continue
        command = line.removeprefix("$ ").strip()
        while command.count('"') % 2 or command.endswith("\\"):
            command = f"{command.removesuffix(chr(92))} {lines.pop(0).strip()}"
        found.append(re.sub(r"\s+#\s.*$", "", command))
    return found


def programs(command):
    """The calls of `leaksweep` in a command, as lists of words."""
    words = shlex.split(command, comments=True)
    calls = [[]]
    for word in words:
        if word in ("&&", "|", ">", ";"):
            calls.append([])
        else:
            calls[-1].append(word)
    return [call[1:] for call in calls if call and call[0] in ("leaksweep", ".venv/bin/leaksweep")]


CALLS = {
    f"{path.name}: {' '.join(call)}": call
    for path in PAGES
    for command in commands(path.read_text(encoding="utf-8"))
    for call in programs(command)
}


def test_the_pages_have_commands():
    assert len(CALLS) > 20


@pytest.mark.parametrize("name", CALLS)
def test_the_program_reads_the_words_of_a_page(name):
    words, command = CALLS[name], typer.main.get_command(app)
    context = click.Context(command, info_name="leaksweep")
    while isinstance(command, click.Group):
        called, command, words = command.resolve_command(context, list(words))
        context = click.Context(command, info_name=called, parent=context)
    parser = command.make_parser(context)
    parser.parse_args(args=list(words))  # raises for an option that it has not


@pytest.mark.slow
def test_the_commands_of_the_readme_run_as_written(tmp_path):
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(BIN)
    path = f"{BIN}:/usr/local/bin:/usr/bin:/bin"

    def run(command):
        asked = ["bash", "-o", "pipefail", "-c", command]
        ended = subprocess.run(
            asked, cwd=tmp_path, capture_output=True, text=True, env={"PATH": path}
        )
        assert ended.returncode == 0, f"{command}\n{ended.stderr}"
        return ended.stdout

    sweep = run("leaksweep run --preset article")  # what `make sweep` runs
    table = re.search(r"```text\n(Did the frozen.*?)\.\.\.\n```", README, re.DOTALL)[1]
    assert table in sweep
    assert table in run("leaksweep table results")
    listed = commands(README)
    assert set(TOO_LONG) <= set(listed)
    for command in listed:
        if command not in TOO_LONG:
            run(command)
    assert (tmp_path / "summary" / "results.csv").exists()
    assert (tmp_path / "mine.toml").read_text().startswith("# Do the source article's")
