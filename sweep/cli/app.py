"""The program `leaksweep`: its commands, and what becomes of an exception."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from sweep.cli import export, look, run, show, why
from sweep.cli.screen import say
from sweep.errors import EXIT_INTERRUPTED, LeaksweepError

app = typer.Typer(
    name="leaksweep",
    help="Which optimizer settings move a layer that was detached to keep still, and why.",
    epilog="Start with: leaksweep run",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: quick to start, and docs/cli.md shows what one sees
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
app.command()(run.run)
app.command()(look.status)
app.command()(look.sql)
app.command()(export.export)
app.command()(why.why)
app.add_typer(show.app, name="show")


def main() -> NoReturn:
    """Runs the command line and ends the process with its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except LeaksweepError as error:
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("Interrupted. What was finished is recorded; the same command goes on from there.")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(0)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Treats SIGTERM as Ctrl-C, so that what is finished is kept then too."""
    raise KeyboardInterrupt


@app.callback(invoke_without_command=True)
def _leaksweep(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"leaksweep {installed('leaksweep')}")
        raise typer.Exit
