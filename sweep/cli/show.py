"""`leaksweep show`: what there is to choose from, and what the database holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.screen import print_table, say

if TYPE_CHECKING:
    from sweep.optimizers.entry import OptimizerEntry

app = typer.Typer(
    help="Show what there is: optimizers, presets, axes, the database's schema.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def optimizers() -> None:
    """List the optimizers, the argument that each axis turns, and which cannot run here.

    Example: leaksweep show optimizers
    """
    from sweep.optimizers import registry

    columns = ("optimizer", "lr", "weight_decay", "momentum", "default lr", "remarks")
    rows = []
    for name in registry.names():
        entry = registry.lookup(name)
        missing = registry.unavailable(entry)
        default = None if missing else registry.defaults(entry).lr
        addresses = (entry.lr or "", entry.weight_decay or "", entry.momentum or "")
        remarks = f"not here: {missing}" if missing else _remarks(entry)
        rows.append((name, *addresses, "" if default is None else f"{default:g}", remarks))
    print_table(columns, rows)
    say("Any other: package.module:Class. Other arguments go in [options.NAME] of a spec.")


@app.command()
def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print this one's TOML, to copy.")
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


@app.command()
def axes() -> None:
    """List the axes of the grid, their values, and what each has when it is left out.

    Example: leaksweep show axes
    """
    from sweep.values.setting import AXIS_FACTS

    rows = [(str(f.axis), f.values, f.default_in_words, f.meaning) for f in AXIS_FACTS]
    print_table(("axis", "values", "default", "meaning"), rows)


@app.command()
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
        (entry.note, entry.note),
    )
    return "; ".join(fact for fact, true in facts if true)
