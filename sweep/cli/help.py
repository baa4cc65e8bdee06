"""How the help of a command reads: whole sentences, and no types of a programmer's.

Typer's own cuts a command's first sentence to fit a line, shows what Python calls a type, and
writes a range as an inequality.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from sweep.errors import nearest


class WordedCommand(TyperCommand):
    """A command whose help reads as this module says."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What follows the command's name: ``[OPTIONS] AXIS [SPEC.toml]``."""
        arguments = [(_spelt(each), each.required) for each in _shown(self, ctx, "argument")]
        return ["[OPTIONS]", *(name if needed else f"[{name}]" for name, needed in arguments)]

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


def argument(name: str, sentence: str, *, offers: Callable[..., Any] | None = None) -> Any:
    """A command's argument: its name in the help, and what a shell ``offers`` for it."""
    return typer.Argument(metavar=name, help=sentence, autocompletion=offers)


def option(
    value: str, sentence: str, *names: str, offers: Callable[..., Any] | None = None, **more: Any
) -> Any:
    """A command's option, with what its ``value`` is called; ``more`` is what typer knows."""
    return typer.Option(*names, metavar=value, help=sentence, autocompletion=offers, **more)


def flag(name: str, sentence: str) -> Any:
    """A command's option that takes no value."""
    return typer.Option(name, help=sentence)


def group(about: str, *commands: Callable[..., None]) -> typer.Typer:
    """A group of commands, each named as its function is, an underscore at the end aside."""
    made = typer.Typer(cls=WordedGroup, help=about, no_args_is_help=True, rich_markup_mode=None)
    for command in commands:
        made.command(command.__name__.rstrip("_"), cls=WordedCommand)(command)
    return made


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line.

    >>> first_sentence("Query the\\n    results. Whatever.")
    'Query the results.'
    """
    whole = " ".join(text.split("\n\n")[0].split())
    head, stop, _ = whole.partition(". ")
    return head + stop.strip()


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    for kind in ("argument", "option"):
        if rows := [(_spelt(each), _sentence(each, ctx)) for each in _shown(command, ctx, kind)]:
            with formatter.section(f"{kind.capitalize()}s"):
                formatter.write_dl(rows)


def _shown(command: Any, ctx: Any, kind: str) -> list[Any]:
    found = (each for each in command.get_params(ctx) if each.param_type_name == kind)
    return [each for each in found if not each.hidden]


def _spelt(parameter: Any) -> str:
    """The argument's name, or the option as one writes it: ``-h, --help``, ``--jobs N``."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {parameter.metavar}"


def _sentence(parameter: Any, ctx: Any) -> str:
    """What it means, and in brackets what it is if left out and where else it may be said."""
    notes, default = [], _default(parameter, ctx)
    if parameter.envvar and getattr(parameter, "show_envvar", False):
        notes.append(f"or {parameter.envvar} in the environment")
    if default:
        notes.append(default if default.startswith("such as ") else f"default: {default}")
    return f"{parameter.help}  [{'; '.join(notes)}]" if notes else str(parameter.help)


def _default(parameter: Any, ctx: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.get_default(ctx, call=False)
    if value is None or isinstance(value, bool) or not parameter.show_default:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value.value if isinstance(value, Enum) else value)
