"""Whatever is typed: one message, exit code 2 or what there is to say, nothing written.

Every option and argument of every command is found by looking at the program, so that an
option that is new is in these tests.
"""

import re
import tracemalloc
from dataclasses import dataclass

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep.cli.app import app

PROGRAM = typer.main.get_command(app)  # made once: to make it takes longer than to run it
NOWHERE = ("--db", "sqlite:////proc/none/x.db")
BASES = {
    ("run",): ("--dry-run", "--workload", "small"),
    ("status",): (),
    ("sql",): ("SELECT 1",),
    ("table",): ("by_optimizer",),
    ("sweep",): ("list",),
    ("sweep", "list"): (),
    ("sweep", "rename"): ("a", "b"),
    ("sweep", "delete"): ("a",),
    ("sweep", "merge"): ("none.db",),
    ("export",): (),
    ("report",): (),
    ("why",): ("1",),
    ("verify",): (),
    ("publish",): ("--storage", "sqlite:///none/optuna.db"),
    ("edge",): ("lr", "--preset", "article", "--workload", "small", *NOWHERE),
    ("search",): ("--preset", "article", "--trials", "1", "--workload", "small", *NOWHERE),
    ("adopt",): ("--storage", "sqlite:///none/optuna.db"),
    ("serve",): (),
    ("show",): ("axes",),
    ("show", "optimizers"): (),
    ("show", "presets"): (),
    ("show", "axes"): (),
    ("show", "schema"): (),
}
"""Each command, with words that end it at once, as there is no database."""

MAKES_ITS_DATABASE = {"search", "edge"}
"""Any word is the name of a file, which these commands make, whatever else they are told."""

WORDS = (
    "",
    " ",
    "-1",
    "0",
    "-0.0",
    "1.5",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "9" * 30,
    "9" * 5000,
    "0x10",
    "half",
    "½",
    "٣",
    "💥",
    "\udcff",  # what Python makes of a byte that is not UTF-8
    "\x1b[31mred\x07",
    "two\nlines",
    "\u202eflipped",
    "x" * 100_000,
    "-" * 300,
    "%s%n{0}",
    "=1+1",
    "'; DROP TABLE trial; --",
    "<script>",
    "../../../etc/passwd",
    "/etc/passwd",
    "/dev/null",
    "/dev/null/x",
    "/dev/zero",
    "/proc/self/mem",
    "/proc/none/x",
    ".",
    "~",
    "os:system",
    "os.path:",
    "sqlite:////proc/\udcff/\x1b.db",
    "sqlite:///" + "x" * 5000,
    "sqlite:////proc/none/x.db",
    "sqlite:////dev/null",
    "sqlite:////etc/passwd",
    "sqlite:///.",
    "sqlite://",
    "postgresql://",
    "postgresql://[::1",
    "postgresql://me@127.0.0.1:99999999/x",
    "postgresql://me@127.0.0.1:1/%zz%00",
    "postgresql://me:pa\x00ss@127.0.0.1:1/x",
    "postgresql://me@127.0.0.1:1/x?connect_timeout=soon",
    "lr=" + "9" * 400,
    "lr=nan",
    "lr=1,,,",
    "seed=1e3",
    "seed=" + "9" * 5000,
    "schedule=every:" + "9" * 5000,
    "schedule=after:-1",
    "optimizer=\udcff",
    "optimizer=" + "[" * 1000,
    "zero_grad=None",
)


def commands(group=None, names=()):
    """Every command, by its names."""
    group = group or PROGRAM
    found = {names: group} if names else {}
    for name, command in getattr(group, "commands", {}).items():
        found |= commands(command, (*names, name))
    return found


def slots():
    """Every place on a command line that takes a word, with the words before it."""
    for names, command in commands().items():
        yield names, ()
        for parameter in command.params:
            takes_a_word = parameter.param_type_name == "option" and not parameter.is_flag
            is_made = parameter.opts == ["--db"] and names[0] in MAKES_ITS_DATABASE
            if takes_a_word and not is_made:
                yield names, (parameter.opts[0],)


def is_one_message(err):
    """Whether what was said is one message, the lines on usage that typer puts first aside."""
    said = re.sub(r"(?s)\AUsage: .*?\nTry '.*?' for help\.\n", "", err)
    said = re.sub(r"\A(Training it.*|Missing .*)\n", "", said)
    return len([line for line in said.splitlines() if line.strip()]) <= 1


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def leaksweep(tmp_path, monkeypatch):
    """Runs ``leaksweep`` with these words in this process, printing into files."""
    out, err = tmp_path / "out", tmp_path / "err"

    def run(*words):
        with (
            out.open("w", errors="backslashreplace") as sys_out,
            err.open("w", errors="backslashreplace") as sys_err,
            monkeypatch.context() as patch,
        ):
            patch.setattr("sys.stdout", sys_out)
            patch.setattr("sys.stderr", sys_err)
            with pytest.raises(SystemExit) as ended:
                PROGRAM(args=list(words), prog_name="leaksweep")
        return Ended(ended.value.code or 0, out.read_text(), err.read_text())

    return run


@pytest.fixture
def ends_well(leaksweep, tmp_path, monkeypatch):
    """Runs ``leaksweep`` in an empty folder, and raises where it did what it may not."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def check(*words):
        ended = leaksweep(*words)
        shown = [word[:80] for word in words], ended.code, ended.out[:300], ended.err[:600]
        assert ended.code in (0, 1, 2), shown
        assert not set("\x1b\x07") & set(ended.out + ended.err), shown
        assert list(folder.iterdir()) == [], shown
        if ended.code:
            assert is_one_message(ended.err), shown
        return ended

    return check


def test_there_are_words_that_end_each_command():
    assert set(BASES) == set(commands())


@pytest.mark.parametrize(
    ("names", "option"), list(slots()), ids=lambda each: " ".join(each) or "argument"
)
def test_whatever_one_word_is_there_is_at_most_one_message(ends_well, names, option):
    for word in WORDS:
        ends_well(*names, *BASES[names], *option, word)


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_whatever_is_typed_is_at_most_one_message(ends_well, data):
    names = data.draw(st.sampled_from(list(BASES)))
    options = [option for command, option in slots() if command == names]
    word = st.sampled_from(WORDS) | st.text() | st.integers().map(str) | st.floats().map(str)
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(options), word), max_size=4))
    ends_well(*names, *BASES[names], *(w for option, value in pairs for w in (*option, value)))


NUMBERS = {
    "--jobs": ("run", "verify", "search", "edge", "adopt"),
    "--steps": ("run", "why", "search", "edge", "adopt"),
    "--trial-timeout": ("run", "verify", "search", "edge"),
    "--trial-memory": ("run", "verify", "edge"),
    "--timeout": ("sql",),
    "--sample": ("verify",),
    "--trials": ("search",),
    "--points": ("edge",),
    "--tolerance": ("edge",),
    "--port": ("serve",),
}


@pytest.mark.parametrize("option", NUMBERS)
@pytest.mark.parametrize("word", ["", "-1", "nan", "half", "1e", "\udcff", "0x10", "9" * 5000])
def test_a_number_of_the_wrong_kind_is_misuse(ends_well, option, word):
    for command in NUMBERS[option]:
        words = BASES[command,] if command != "why" else ("optimizer=SGD",)
        ended = ends_well(command, *words, option, word)
        assert ended.code == 2, (command, ended)


@pytest.mark.parametrize("word", [word for word in WORDS if "\0" not in word])
def test_whatever_the_environment_says_of_the_database_is_at_most_one_message(
    ends_well, monkeypatch, word
):
    monkeypatch.setenv("LEAKSWEEP_DB", word)
    for command in ("status", "export", "why", "verify", "serve"):
        assert ends_well(command, *BASES[command,]).code in (1, 2)


@pytest.mark.parametrize("size", [100_000_000, 10**12], ids=["100 MB", "more than memory holds"])
def test_a_huge_spec_is_refused_with_its_size_before_it_is_read(ends_well, tmp_path, size):
    path = tmp_path / "huge.toml"
    with path.open("wb") as file:
        file.truncate(size)
    ended = ends_well("run", str(path))
    assert ended.code == 2
    assert f"huge.toml: has {size:,} bytes; a spec may have 1,000,000." in ended.err


def test_a_grid_of_a_trillion_points_is_refused_with_its_size_before_it_is_made(
    ends_well, tmp_path
):
    path = tmp_path / "vast.toml"
    values = [number / 1000 for number in range(10_000)]
    axes = f"lr = {values}\nweight_decay = {values}\nseed = {list(range(10_000))}"
    path.write_text(f'[[grid]]\noptimizer = ["SGD"]\nzero_grad = ["none"]\n{axes}\n')
    tracemalloc.start()
    ended = ends_well("run", str(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ended.code == 2
    assert "The grid has 1,000,000,000,000 settings, and a sweep at most 10,000,000." in ended.err
    assert peak < 100 * 2**20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The spec is empty."),
        (b"\0" * 100, "Not TOML"),
        (b"\x7fELF\x02\x01\xff\xfe", "is not UTF-8"),
        (b"[[" * 5000, "Not TOML"),
        (b"a = " + b"[" * 50_000, "nested too deeply"),
        (b"grid = 1", "grid needs one table for each grid"),
        (b"steps = " + b"9" * 5000, "Not TOML"),
        (b"steps = 0x" + b"f" * 400, "steps needs a whole number"),
        (b"[[grid]]\noptimizer = ['SGD']\nlr = [nan]", "is not finite"),
        (b"[[grid]]\noptimizer = ['SGD']\nlr = [inf]", "is not finite"),
        (b"[[grid]]\noptimizer = ['SGD']\nlr = [-0.1]", "is below 0"),
        (b"[[grid]]\noptimizer = ['../../x:y']", "not of the form package.module:Class"),
        (b"name = '\\u001b[31m'\n[[grid]]\noptimizer = 1", "optimizer needs names"),
        ("[[grid]]\noptimizer = ['\u202eDGS']".encode(), "Unknown optimizer"),
    ],
)
def test_a_file_that_is_no_spec_is_misuse(ends_well, tmp_path, content, message):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    ended = ends_well("run", str(path))
    assert ended.code == 2
    assert message in ended.err


@pytest.mark.parametrize("path", [".", "..", "/", "/dev/null", "/dev/zero", "/proc/self/mem", "~"])
def test_what_is_no_file_is_no_spec(ends_well, path):
    assert ends_well("run", path).code == 2
    assert ends_well("search", path, *NOWHERE).code == 2
