"""The program `leaksweep`: its commands, and what becomes of an exception."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from analysis.exceptions import AnalysisError
from sweep.cli import (
    look,
    publish,
    run,
    search,
    show,
    sweeps,
    table,
    verify,
    why,
)
from sweep.cli.help import WordedCommand, WordedGroup, flag
from sweep.cli.screen import say
from sweep.errors import EXIT_INTERRUPTED, EXIT_MISUSE, LeaksweepError, SystemLimitError

FROM_A_PERSON = (signal.SIGINT, signal.SIGTERM)
AGAIN = signal.SIGALRM  # our own: an interruption that Python has dropped comes again
AGAIN_AFTER_S = 0.01
SECOND_AFTER_S = 0.5  # what comes sooner is the same keystroke, or a service's
_NO_THREAD = "can't start new thread"  # Python's own words, whichever library asked for it


class _ToldInterruption(SystemExit):
    """The end of an interrupted command that has said so: typer ends others without a word."""


class _Program(WordedGroup):
    """Runs a command and gives what it raises an exit code; misuse of options is typer's."""

    def invoke(self, ctx: Any) -> Any:
        """What the command returns. Raises typer.Exit for what ends it early."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (LeaksweepError, AnalysisError) as error:
            say(" ".join(str(error).split("\n")))  # one message, whatever it quotes
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as interruption:
            say(" ".join(("Interrupted.", *map(str, interruption.args))))
            raise _ToldInterruption(EXIT_INTERRUPTED) from interruption
        except BrokenPipeError as error:  # whoever read our output has seen enough
            _print_no_more()
            raise typer.Exit from error
        except OSError as error:
            say(f"The system refused: {error}.")
            _print_no_more()
            raise typer.Exit(EXIT_MISUSE) from error
        except RuntimeError as error:
            if _NO_THREAD not in str(error):
                raise
            say(str(SystemLimitError("thread", error)))
            raise typer.Exit(EXIT_MISUSE) from error
        return result


app = typer.Typer(
    name="leaksweep",
    cls=_Program,
    help="Which optimizer settings move a layer that was detached to keep still, and why.",
    epilog="Start with: leaksweep run",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: quick to start, and docs/cli.md shows what one sees
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
for _command in (
    run.run,
    search.search,
    search.edge,
    look.status,
    look.sql,
    table.table,
    table.export,
    table.report,
    why.why,
    verify.verify,
    publish.publish,
    publish.adopt,
    look.serve,
):
    app.command(cls=WordedCommand)(_command)
app.add_typer(show.app, name="show")
app.add_typer(sweeps.app, name="sweep")


def main() -> NoReturn:
    """Runs the command line and ends the process with its exit code."""
    try:
        _open_what_is_closed()
        _handle(_interrupt, *FROM_A_PERSON, AGAIN)
        sys.unraisablehook = partial(_interrupt_again, sys.unraisablehook)
        if isinstance(sys.stdout, io.TextIOWrapper):  # not every terminal has every character
            sys.stdout.reconfigure(errors="backslashreplace")
        app(prog_name="leaksweep")
    except SystemExit as end:
        code = end.code
        if code == EXIT_INTERRUPTED and not isinstance(end, _ToldInterruption):
            say("Interrupted.")  # while typer was reading the words
    except KeyboardInterrupt:  # before a command was at work
        say("Interrupted.")
        code = EXIT_INTERRUPTED
    except OSError as error:  # of help that cannot be written; a command's is told by `_Program`
        say(f"The system refused: {error}.")
        code = EXIT_MISUSE
        _print_no_more()
    _handle(signal.SIG_IGN, *FROM_A_PERSON, AGAIN)  # what is done is done
    gc.freeze()  # Python looks through all it has at its end, and torch has a great deal
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Has the standard streams that were closed at the start (``>&-``) lead nowhere.

    Otherwise the next file that is opened, such as a database, would be the one printed into.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # stays open


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Stops the command, by SIGTERM as by Ctrl-C, so that it ends in order."""
    _handle(partial(_end_at_once, time.monotonic()), *FROM_A_PERSON)
    raise KeyboardInterrupt


def _end_at_once(first: float, _signal: int, _frame: FrameType | None) -> None:
    """Ends the process where a person interrupts it again: its end takes them too long."""
    if time.monotonic() - first >= SECOND_AFTER_S:
        os.write(2, b"Interrupted again: ended at once.\n")
        os._exit(EXIT_INTERRUPTED)


def _handle(
    handler: Callable[[int, FrameType | None], None] | signal.Handlers, *signals: signal.Signals
) -> None:
    for number in signals:
        signal.signal(number, handler)


def _interrupt_again(
    hook: Callable[[sys.UnraisableHookArgs], object], dropped: sys.UnraisableHookArgs
) -> None:
    """Interrupts once more a moment later, where Python has dropped the interruption.

    A finalizer or a weak reference's callback cannot raise: what the signal's handler raises
    while one of them happens to run gets no further than here. The rest is left to ``hook``.
    """
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER_S)
    else:
        hook(dropped)


def _print_no_more() -> None:
    """Lets what is still to be written to stdout go nowhere, as writing it fails."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@app.callback(invoke_without_command=True)
def _leaksweep(
    version: Annotated[bool, flag("--version", "Print the version and stop.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"leaksweep {installed('leaksweep')}")
        raise typer.Exit
