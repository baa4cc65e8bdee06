"""Makes docs/cli.md, the reference of the command line, from the commands' own --help.

Usage: python docs/make_cli.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperGroup
from typer.main import get_command

from sweep.cli.app import app

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 88
INTRODUCTION = """# Command line

What `leaksweep COMMAND --help` prints, command by command. Made by `make docs`; do not edit.

Data goes to stdout, progress and messages to stderr. Exit codes: 0 done; 1 the run finished
but some trials failed, or the thing asked for is not there; 2 misuse, with one message; 130
interrupted, with what was finished kept.
"""


def reference() -> str:
    """The whole page."""
    command = get_command(app)
    top = typer.Context(
        command, info_name="leaksweep", terminal_width=WIDTH, **command.context_settings
    )
    sections = [
        f"{'#' * (2 + depth)} {context.command_path}\n\n```text\n{_help(context)}\n```\n"
        for depth, context in contexts(top)
    ]
    return "\n".join([INTRODUCTION, *sections])


def contexts(context: typer.Context, depth: int = 0) -> Iterator[tuple[int, typer.Context]]:
    """The context and those of the commands under it, with how deep each lies."""
    yield depth, context
    if isinstance(context.command, TyperGroup):
        for name, command in context.command.commands.items():
            inner = typer.Context(command, parent=context, info_name=name)
            yield from contexts(inner, depth + 1)


def _help(context: typer.Context) -> str:
    lines = context.command.get_help(context).splitlines()
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
