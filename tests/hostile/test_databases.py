"""Other people's databases: whatever is in one, each command answers or refuses in one message."""

import pytest

COMMANDS = {
    "status": ("status",),
    "sql": ("sql", "SELECT * FROM trial"),
    "sql of a view": ("sql", "SELECT * FROM leak_rate_by_setting", "--timeout", "2"),
    "export": ("export", "--out", "{out}", "--format", "csv,markdown"),
    "report": ("report", "--out", "{out}/report.html"),
    "why": ("why", "1"),
    "run": ("run", "{spec}", "--jobs", "1"),
    "verify": ("verify", "--jobs", "1"),
    "publish": ("publish", "--storage", "{out}/optuna.log"),
    "adopt": ("adopt", "--storage", "{out}/optuna.log"),
    "search": ("search", "{spec}", "--name", "mine", "--trials", "1", "--jobs", "1"),
    "another search": ("search", "{spec}", "--trials", "1", "--jobs", "1"),
    "edge": ("edge", "lr", "{spec}", "--name", "mine", "--points", "2", "--jobs", "1"),
}
HUGE = "replace(hex(zeroblob(500000)), '00', 'ab')"
CASES = {
    "text in lr": ["UPDATE trial SET lr = 'much'"],
    "text in a count": ["UPDATE trial SET leaked_steps = 'many', first_leak_step = 'x'"],
    "bytes in a word": ["UPDATE trial SET optimizer = x'00ff', zero_grad = x'01'"],
    "bytes in an error": ["UPDATE trial SET error = x'ff', verdict = 'failed'"],
    "text that is not utf-8": ["UPDATE trial SET error = CAST(x'ff' AS TEXT), verdict = 'failed'"],
    "a verdict of its own": ["UPDATE trial SET verdict = 'perhaps'"],
    "no time": ["UPDATE trial SET finished_at = 'noon'", "UPDATE sweep SET created_at = 'noon'"],
    "text in planned": ["UPDATE sweep SET planned = 'all'"],
    "an infinite planned": ["UPDATE sweep SET planned = 9e999"],
    "infinite numbers": ["UPDATE trial SET lr = 9e999, train_seconds = 9e999, max_drift = 9e999"],
    "numbers for times": ["UPDATE trial SET finished_at = 7", "UPDATE sweep SET created_at = 7"],
    "bytes for times": ["UPDATE trial SET finished_at = x'00', train_seconds = x'00'"],
    "times of long ago": ["UPDATE trial SET finished_at = '0001-01-01 00:00:00'"],
    "an environment that is gone": ["DELETE FROM environment"],
    "bytes in an environment": ["UPDATE environment SET torch = x'00ff', threads = 'many'"],
    "a proposal that is none": ["UPDATE trial SET proposal = x'00ff'"],
    "a spec that is none": ["UPDATE sweep SET spec = 'SELECT 1'"],
    "a spec of wrong things": ["""UPDATE sweep SET spec = '{"grid": [1], "options": []}'"""],
    "a deep spec": ["UPDATE sweep SET spec = replace(hex(zeroblob(50000)), '00', '[')"],
    "options that are none": ["UPDATE trial SET options = '['"],
    "a sweep that is gone": ["DELETE FROM sweep"],
    "a huge integer": ["UPDATE trial SET seed = 9223372036854775807, steps = 4611686018427387904"],
    "sql in a name": ["UPDATE sweep SET name = '''; DROP TABLE trial; --'"],
    "code in names": ["UPDATE trial SET optimizer = 'os:system', workload = 'os:abort'"],
    "a missing view": ["DROP VIEW leak_rate_by_setting"],
    "an endless view": [
        "DROP VIEW leak_rate_by_setting",
        "CREATE VIEW leak_rate_by_setting AS WITH RECURSIVE a(x) AS "
        "(SELECT 1 UNION ALL SELECT x FROM a) SELECT * FROM a",
    ],
    "a trigger": [
        "CREATE TRIGGER theirs AFTER INSERT ON trial BEGIN DELETE FROM sweep WHERE 0; END"
    ],
    "a trigger that loads": [
        "CREATE TRIGGER theirs AFTER INSERT ON trial BEGIN SELECT load_extension('x'); END"
    ],
    "a view that loads": [
        "DROP VIEW leak_rate_by_setting",
        "CREATE VIEW leak_rate_by_setting AS SELECT load_extension('/tmp/x.so')",
    ],
    "a virtual table": ["CREATE VIRTUAL TABLE theirs USING fts5(a)"],
    "a generated column": ["ALTER TABLE trial ADD COLUMN theirs AS (abs(lr) || hex(zeroblob(10)))"],
    "a newer schema": ["UPDATE alembic_version SET version_num = 'leaksweep_9999'"],
    "another program": ["DROP TABLE alembic_version"],
    "a huge text": [f"UPDATE trial SET error = {HUGE}, verdict = 'failed'"],
    "a huge blob": ["UPDATE trial SET error = zeroblob(1000000), verdict = 'failed'"],
    "a huge name": [f"UPDATE trial SET optimizer = {HUGE}"],
    "a huge sweep": [f"UPDATE sweep SET name = {HUGE}"],
    "no table": ["DROP TABLE step"],
}


@pytest.fixture
def words(tmp_path, database, spec):
    places = {"out": tmp_path / "out", "spec": spec}

    def filled(command):
        given = (word.format(**places) for word in COMMANDS[command])
        return (*given, "--db", f"sqlite:///{database}")

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
        given = ("serve",) if command == "serve" else words(command)[:-2]
        ended = leaksweep(*given, "--db", url)
        assert ended.code in (1, 2), (command, ended)
        assert "hush" not in ended.out + ended.err, (command, ended)
        assert len(ended.err.strip().splitlines()) == 1, (command, ended)
