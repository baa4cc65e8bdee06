"""`leaksweep show`: what there is to choose from, and what the database holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli import completion
from sweep.cli.help import WordedCommand, WordedGroup
from sweep.cli.screen import print_table, say
from sweep.errors import NotThereError, nearest

if TYPE_CHECKING:
    from sweep.optimizers.entry import OptimizerEntry

MOST_NAMED = 8
"""How many optimizers that cannot run here are named, of those that share the reason."""

app = typer.Typer(
    cls=WordedGroup,
    help="Show what there is: optimizers, presets, axes, the database's schema.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(cls=WordedCommand)
def optimizers(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="PATTERN",
            help="Those alone whose name has this in it, or matches it: torch*, muon, *.adopt.",
            autocompletion=completion.optimizers,
        ),
    ] = None,
) -> None:
    """List the optimizers that run here, with the argument that each axis turns.

    Example: leaksweep show optimizers "*adam*"
    """
    from sweep.optimizers import registry

    columns = ("optimizer", "lr", "weight_decay", "momentum", "default lr", "remarks")
    entries = [registry.lookup(name) for name in _matching(pattern, registry.names())]
    absent = {entry.name: registry.unavailable(entry) for entry in entries}
    rows = [_row(entry) for entry in entries if absent[entry.name] is None]
    if rows:
        print_table(columns, rows)
    for reason, names in _by_reason(absent).items():
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        say(f"Not here: {', '.join(names[:MOST_NAMED])}{more}. {reason}.")
    say("Any other: package.module:Class. Other arguments go in [options.NAME] of a spec.")


def _matching(pattern: str | None, names: Sequence[str]) -> list[str]:
    """The names that ``pattern`` matches or is part of. Raises NotThereError, with the nearest."""
    if pattern is None:
        return list(names)
    wanted = pattern.lower()
    wanted = wanted if any(sign in wanted for sign in "*?[") else f"*{wanted}*"
    found = [name for name in names if fnmatchcase(name.lower(), wanted)]
    if not found:
        close = nearest(pattern, names)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise NotThereError(f"No optimizer matches {pattern!r}.{hint}")
    return found


def _row(entry: OptimizerEntry) -> tuple[str, ...]:
    from sweep.optimizers import registry

    lr = registry.default(entry, "lr")
    addresses = (entry.lr or "", entry.weight_decay or "", entry.momentum or "")
    return (entry.name, *addresses, "" if lr is None else f"{lr:g}", _remarks(entry))


def _by_reason(absent: Mapping[str, str | None]) -> dict[str, list[str]]:
    """The names of those that cannot run here, by why."""
    found: dict[str, list[str]] = {}
    for name, reason in absent.items():
        if reason is not None:
            found.setdefault(reason.rstrip("."), []).append(name)
    return found


@app.command(cls=WordedCommand)
def presets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Print this one's TOML, to copy.",
            autocompletion=completion.presets,
        ),
    ] = None,
) -> None:
    """List the presets, or print one as a spec to copy and edit.

    Example: leaksweep show presets article > mine.toml
    """
    from sweep.grid import presets as found

    if name is not None:
        typer.echo(found.text(name), nl=False)
        return
    print_table(("preset", "what"), [(p.name, p.description) for p in found.listed()])


@app.command(cls=WordedCommand)
def axes() -> None:
    """List the axes of the grid, their values, and what each has when it is left out.

    Example: leaksweep show axes
    """
    from sweep.values.setting import AXIS_FACTS

    rows = [(str(f.axis), f.values, f.default_in_words, f.meaning) for f in AXIS_FACTS]
    print_table(("axis", "values", "default", "meaning"), rows)


@app.command(cls=WordedCommand)
def schema() -> None:
    """Describe the tables, views and columns that queries can use.

    Example: leaksweep show schema
    """
    from sweep.store.describe import describe_schema

    for table in describe_schema():
        kind = "view" if table.is_view else "table"
        rows = [(c.name, c.type, "null" if c.nullable else "", c.meaning) for c in table.columns]
        title = f"{table.name} ({kind}): {table.meaning}"
        print_table(("column", "type", "", "meaning"), rows, title=title)


def _remarks(entry: OptimizerEntry) -> str:
    """What is special about it, as the registry declares."""
    facts = (
        ("sparse gradients only", entry.sparse),
        ("matrices only", entry.matrices_only),
        ("needs a closure", entry.needs_closure),
        ("no parameter groups: not for freeze = lr_zero", not entry.param_groups),
        ("differentiates twice", entry.create_graph),
        (", ".join(f"{key} = {value}" for key, value in entry.options.items()), entry.options),
    )
    return "; ".join(fact for fact, true in facts if true)
