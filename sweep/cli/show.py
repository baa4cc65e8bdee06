"""`leaksweep show`: what there is to choose from, and what the database holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli import completion
from sweep.cli.help import argument, group
from sweep.cli.screen import print_table, say
from sweep.errors import NotThereError, nearest

if TYPE_CHECKING:
    from sweep.optimizers.entry import OptimizerEntry

MOST_NAMED = 8
"""How many optimizers that cannot run here are named, of those that share the reason."""


def optimizers(
    pattern: Annotated[
        str | None,
        argument(
            "PATTERN",
            "Those alone whose name has this in it, or matches it: torch*, muon, *.adopt.",
            offers=completion.optimizers,
        ),
    ] = None,
) -> None:
    """List the optimizers that run here, with the argument that each axis turns.

    Example: leaksweep show optimizers "*adam*"
    """
    from sweep.optimizers import registry

    rows, absent = [], defaultdict[str, list[str]](list)
    for entry in map(registry.lookup, _matching(pattern, registry.names())):
        reason = registry.unavailable(entry)
        if reason is None:
            lr = registry.default(entry, "lr")
            addresses = (entry.lr or "", entry.weight_decay or "", entry.momentum or "")
            shown_lr = "" if lr is None else f"{lr:g}"
            rows.append((entry.name, *addresses, shown_lr, _remarks(entry)))
        else:
            absent[reason.rstrip(".")].append(entry.name)
    if rows:
        columns = ("optimizer", "lr", "weight_decay", "momentum", "default lr", "remarks")
        print_table(columns, rows)
    for reason, names in absent.items():
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


def presets(
    name: Annotated[
        str | None, argument("NAME", "Print this one's TOML, to copy.", offers=completion.presets)
    ] = None,
) -> None:
    """List the presets, or print one as a spec to copy and edit.

    Example: leaksweep show presets article > mine.toml
    """
    from sweep.grid.spec_file import described_presets, preset_text

    if name is not None:
        typer.echo(preset_text(name), nl=False)
        return
    print_table(("preset", "what"), list(described_presets().items()))


def axes() -> None:
    """List the axes of the grid, their values, and what each has when it is left out.

    Example: leaksweep show axes
    """
    from sweep.values.setting import AXIS_FACTS

    rows = [(str(f.axis), f.values, f.default_in_words, f.meaning) for f in AXIS_FACTS]
    print_table(("axis", "values", "default", "meaning"), rows)


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


app = group(
    "Show what there is: optimizers, presets, axes, the database's schema.",
    optimizers,
    presets,
    axes,
    schema,
)
