"""How the help of a command reads: whole sentences, and no types of a programmer's.

Typer's own cuts a command's first sentence to fit a line, shows what Python calls a type, and
writes a range as an inequality.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from typer.core import TyperCommand, TyperGroup

from sweep.errors import nearest


class WordedCommand(TyperCommand):
    """A command whose help reads as this module says."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What follows the command's name: ``[OPTIONS] AXIS [SPEC.toml]``."""
        return ["[OPTIONS]", *(_in_usage(each) for each in _arguments(self, ctx))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the arguments and the options, a sentence each."""
        _write_parameters(self, ctx, formatter)


class WordedGroup(TyperGroup):
    """A group of commands whose help reads as this module says."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the options, and the commands with their first sentences."""
        _write_parameters(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes each command's first sentence, whole."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(n, first_sentence(c.help or "")) for n, c in commands.items() if c is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names; one that there is not is answered with all."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            close = nearest(args[0], self.commands)
            hint = f"Did you mean {' or '.join(close)}? " if close else ""
            ctx.fail(f"No such command {args[0]!r}. {hint}Valid: {', '.join(self.commands)}.")
        return super().resolve_command(ctx, args)


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line.

    >>> first_sentence("Query the\\n    results. Whatever.")
    'Query the results.'
    """
    whole = " ".join(text.split("\n\n")[0].split())
    head, stop, _ = whole.partition(". ")
    return head + stop.strip()


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    arguments = [(_name(each), _sentence(each, ctx)) for each in _arguments(command, ctx)]
    options = [(_spelt(each), _sentence(each, ctx)) for each in _options(command, ctx)]
    for title, rows in (("Arguments", arguments), ("Options", options)):
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _arguments(command: Any, ctx: Any) -> list[Any]:
    return [each for each in command.get_params(ctx) if each.param_type_name == "argument"]


def _options(command: Any, ctx: Any) -> list[Any]:
    shown = (each for each in command.get_params(ctx) if not each.hidden)
    return [each for each in shown if each.param_type_name == "option"]


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _in_usage(argument: Any) -> str:
    name = _name(argument)
    return name if argument.required else f"[{name}]"


def _spelt(option: Any) -> str:
    """The option as one writes it: ``-h, --help``, ``--jobs N``."""
    names = ", ".join(sorted(option.opts, key=len))
    return names if option.is_flag else f"{names} {option.metavar or 'VALUE'}"


def _sentence(parameter: Any, ctx: Any) -> str:
    """What it means, and in brackets what it is if left out and where else it may be said."""
    notes = list(_notes(parameter, ctx))
    return f"{parameter.help}  [{'; '.join(notes)}]" if notes else str(parameter.help)


def _notes(parameter: Any, ctx: Any) -> Iterator[str]:
    if parameter.envvar and getattr(parameter, "show_envvar", False):
        yield f"or {parameter.envvar} in the environment"
    default = _default(parameter, ctx)
    if default:
        yield default if default.startswith("such as ") else f"default: {default}"


def _default(parameter: Any, ctx: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.get_default(ctx, call=False)
    if value is None or isinstance(value, bool) or not parameter.show_default:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value.value if isinstance(value, Enum) else value)
