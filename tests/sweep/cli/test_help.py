"""Help in whole sentences, and what the Tab key offers."""

import re

import pytest
from typer.main import get_command

from sweep.cli.app import app
from sweep.cli.completion import assignments
from sweep.cli.help import first_sentence

COMMANDS = {name: c for name, c in get_command(app).commands.items() if name != "show"}


def test_the_list_of_commands_cuts_no_sentence(leaksweep):
    text = " ".join(leaksweep("--help").out.split())
    assert "..." not in text.replace("[ARGS]...", "")
    for name, command in COMMANDS.items():
        assert f"{name} {first_sentence(command.help)}" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_no_types_of_a_programmer_s(leaksweep, name):
    text = leaksweep(name, "--help").out
    assert re.findall(r"<\w+>|list\[|x>=|<=x|\[required\]|\{\w|\[\[|None", text) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_is_explained_by_a_sentence(name):
    for parameter in COMMANDS[name].params:
        assert re.search(r"[.\"]$", parameter.help), parameter.name


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("leaksweep stat", ["status"]),
        ("leaksweep show op", ["optimizers"]),
        ("leaksweep run --preset a", ["article", "atlas"]),
        ("leaksweep run --set zero", ["zero_grad="]),
        ("leaksweep table by_o", ["by_optimizer"]),
        ("leaksweep status w", ["with", "failures"]),
        ("leaksweep show optimizers Adam", ["Adam", "AdamW", "Adamax"]),
    ],
)
def test_a_shell_is_offered_what_there_is(complete, url, words, offered):
    assert complete(words) == offered


@pytest.fixture
def complete(monkeypatch, capsys):
    """What bash is offered at the end of these words."""
    from sweep.cli.app import main

    def offered(words):
        monkeypatch.setenv("_LEAKSWEEP_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        monkeypatch.setattr("sys.argv", ["leaksweep"])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().out.split()

    return offered


def test_values_are_offered_after_the_axis():
    assert assignments("freeze=detach,n") == ["freeze=detach,no_grad"]
    assert assignments("optimizer=Adamax") == ["optimizer=Adamax"]
    assert assignments("lr=") == []


def test_where_there_is_no_database_no_sweep_is_offered(complete, monkeypatch, tmp_path):
    monkeypatch.setenv("LEAKSWEEP_DB", f"sqlite:///{tmp_path}/none.db")
    assert complete("leaksweep status h") == []
