"""What a shell offers at the Tab key: names of sweeps, presets, optimizers, axes, tables.

A completion is asked for between two keystrokes: nothing here imports torch, and whatever
goes wrong offers nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import typer

from sweep.errors import LeaksweepError
from sweep.values.words import Axis, Freeze, ZeroGrad


def sweeps(ctx: typer.Context, incomplete: str) -> list[str]:
    """The sweeps in the database that the words so far name."""
    from sweep.cli.options import DEFAULT_DB
    from sweep.store.query import sweep_status

    try:
        found = sweep_status(ctx.params.get("db") or DEFAULT_DB)
    except LeaksweepError:
        return []
    return _beginning(incomplete, (each.name for each in found))


def presets(incomplete: str) -> list[str]:
    """The presets."""
    from sweep.grid import presets as there

    return _beginning(incomplete, there.names())


def workloads(incomplete: str) -> list[str]:
    """The workloads that are built in."""
    from sweep.workloads.sizes import BUILT_IN

    return _beginning(incomplete, BUILT_IN)


def optimizers(incomplete: str) -> list[str]:
    """The optimizers of the registry."""
    from sweep.optimizers import registry

    return _beginning(incomplete, registry.names())


def tables(incomplete: str) -> list[str]:
    """The summary tables."""
    from analysis.tables import SUMMARIES

    return _beginning(incomplete, SUMMARIES)


def assignments(incomplete: str) -> list[str]:
    """Axes, each with its ``=``, and after that the words that some of them take."""
    axis, equals, value = incomplete.partition("=")
    if not equals:
        return _beginning(axis, (f"{each}=" for each in Axis))
    *before, last = value.split(",")
    words: dict[str, Iterable[str]] = {Axis.ZERO_GRAD: ZeroGrad, Axis.FREEZE: Freeze}
    offered = optimizers(last) if axis == Axis.OPTIMIZER else words.get(axis, ())
    return [f"{axis}={','.join([*before, each])}" for each in _beginning(last, offered)]


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
