"""What a shell offers at the Tab key: names of sweeps, presets, optimizers, axes, tables.

A completion is asked for between two keystrokes: nothing here imports torch, and whatever
goes wrong offers nothing. Of what is returned, typer offers what begins with the word so far.
"""

from __future__ import annotations

from collections.abc import Iterable

import typer

from sweep.errors import LeaksweepError
from sweep.store import query
from sweep.store.url import DEFAULT_DB
from sweep.values.words import Axis, Freeze, ZeroGrad


def sweeps(ctx: typer.Context) -> list[str]:
    """The sweeps in the database that the words so far name."""
    try:
        return [each.name for each in query.sweep_status(ctx.params.get("db") or DEFAULT_DB)]
    except LeaksweepError:
        return []


def presets() -> Iterable[str]:
    """The presets."""
    from sweep.grid.spec_file import PRESETS

    return PRESETS


def workloads() -> Iterable[str]:
    """The workloads that are built in."""
    from sweep.workloads.sizes import BUILT_IN

    return BUILT_IN


def optimizers() -> Iterable[str]:
    """The optimizers of the registry."""
    from sweep.optimizers import registry

    return registry.names()


def tables() -> Iterable[str]:
    """The summary tables."""
    from analysis.tables import SUMMARIES

    return SUMMARIES


def assignments(incomplete: str) -> list[str]:
    """Axes, each with its ``=``, and after that the words that some of them take."""
    axis, equals, value = incomplete.partition("=")
    if not equals:
        return [f"{each}=" for each in Axis]
    *before, last = value.split(",")
    words: dict[str, Iterable[str]] = {Axis.ZERO_GRAD: ZeroGrad, Axis.FREEZE: Freeze}
    offered = optimizers() if axis == Axis.OPTIMIZER else words.get(axis, ())
    fitting = (word for word in offered if word.startswith(last))
    return [f"{axis}={','.join([*before, each])}" for each in fitting]
