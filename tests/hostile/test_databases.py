"""Other people's databases: whatever is in one, each command answers or refuses in one message."""

import shutil

import pytest
from strange_databases import CASES

COMMANDS = {
    "status": ("status",),
    "list": ("sweep", "list"),
    "table": ("table", "results"),
    "table of causes": ("table", "causes", "--format", "csv"),
    "sql": ("sql", "SELECT * FROM trial"),
    "sql of a view": ("sql", "SELECT * FROM leak_rate_by_setting", "--timeout", "2"),
    "export": ("export", "--out", "{out}", "--format", "csv,markdown"),
    "report": ("report", "--out", "{out}/report.html"),
    "why": ("why", "1"),
    "run, dry": ("run", "{spec}", "--dry-run"),
    "run": ("run", "{spec}", "--jobs", "1"),
    "verify": ("verify", "--jobs", "1"),
    "publish": ("publish", "--storage", "{out}/optuna.log"),
    "adopt": ("adopt", "--storage", "{out}/optuna.log"),
    "search": ("search", "{spec}", "--name", "mine", "--trials", "1", "--jobs", "1"),
    "another search": ("search", "{spec}", "--trials", "1", "--jobs", "1"),
    "edge": ("edge", "lr", "{spec}", "--name", "mine", "--points", "2", "--jobs", "1"),
    "merge": ("sweep", "merge", "{theirs}", "--db", "{out}/merged.db"),
    "merge into it": ("sweep", "merge", "{ours}"),
    "rename": ("sweep", "rename", "mine", "another"),
    "delete": ("sweep", "delete", "another", "--yes"),
}


@pytest.fixture
def words(tmp_path, template, database, spec):
    places = {"out": tmp_path / "out", "spec": spec, "theirs": database}
    places["ours"] = tmp_path / "ours.db"
    shutil.copy(template, places["ours"])

    def filled(command):
        given = [word.format(**places) for word in COMMANDS[command]]
        return given if "--db" in given else [*given, "--db", f"sqlite:///{database}"]

    return filled


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_command_answers_or_refuses_in_one_message(leaksweep, change, words, case, tmp_path):
    change(*CASES[case])
    for command in COMMANDS:
        ended = leaksweep(*words(command))
        assert ended.code in (0, 1, 2), (command, ended)
        assert "Traceback" not in ended.err, (command, ended)
        if ended.code == 2:
            assert len(messages(ended.err)) <= 2, (command, ended)
        assert "\x1b" not in ended.out + ended.err, command


def messages(err):
    """What was said, but for how the sweep comes on."""
    lines = err.strip().splitlines()
    return [line for line in lines if not line.startswith(("mine: ", "A part of mine: "))]


ESCAPE = "\x1b]0;owned\x07\x1b[31m"
HOSTILE = "=cmd|' /C calc'!A0<script>alert(1)</script>" + ESCAPE


@pytest.mark.slow
def test_names_that_are_formulas_tags_and_escape_codes_do_no_harm(
    leaksweep, change, words, tmp_path
):
    text = HOSTILE.replace("'", "''")
    change(f"UPDATE trial SET optimizer = '{text}', error = '{text}', verdict = 'failed'")
    change(f"UPDATE sweep SET name = '{text}'")
    for command in ("status", "sql", "export", "report", "why"):
        ended = leaksweep(*words(command))
        assert "\x1b[31m" not in ended.err + ended.out, command
    for path in (tmp_path / "out").rglob("*"):
        text = path.read_text(errors="replace")
        lines = text.splitlines()
        if path.suffix == ".csv":
            cells = [cell for line in lines for cell in line.replace('"', "").split(",")]
            assert not any(cell.startswith(("=", "@")) for cell in cells), path
        if path.suffix == ".html":
            assert "<script>alert(1)" not in text
            assert "\x1b]0;owned" not in text


@pytest.mark.parametrize("command", ["status", "sql"])
def test_no_formula_is_in_printed_csv_unless_it_is_raw(leaksweep, change, words, command):
    change("UPDATE sweep SET name = '=1+1'")
    query = ("SELECT name FROM sweep",) if command == "sql" else ()
    db = words(command)[-2:]
    safe = leaksweep(command, *query, *db, "--format", "csv").out
    assert "\n'=1+1" in safe
    if command == "sql":
        assert "\n=1+1" in leaksweep("sql", *query, *db, "--format", "csv", "--raw").out


URLS = [
    "postgresql://me:hush@127.0.0.1:1/x",
    "postgresql://me:hush@[/x",
    "postgresql://me:hush@host:port/x",
    "postgresql+psycopg://127.0.0.1:1/x?user=me&password=hush",
    "postgresql+psycopg2://me:hush@127.0.0.1:1/x",
    "mysql://me:hush@host/x",
    "me:hush@host/x",
    "postgresql://me:hu@hush/x@127.0.0.1:1/x",
    "sqlite://me:hush@host/x",
]


@pytest.mark.parametrize("url", URLS)
def test_no_command_shows_a_password_of_a_wrong_url(leaksweep, words, url):
    for command in (*COMMANDS, "serve"):
        if command == "run, dry":  # which reads no database
            continue
        given = ("serve",) if command == "serve" else words(command)[:-2]
        ended = leaksweep(*given, "--db", url)
        assert ended.code in (1, 2), (command, ended)
        assert "hush" not in ended.out + ended.err, (command, ended)
        assert len(ended.err.strip().splitlines()) == 1, (command, ended)
