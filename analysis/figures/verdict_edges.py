"""Drift along one number of the setting, and where the verdict changes."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures.look import FAINT, HUES, IS_CHOSEN, SHAPES, inline, log_axis, titled
from analysis.figures.phrases import counted
from analysis.schema import in_order

MOST_OPTIMIZERS = len(HUES)


def edge_figure(
    points: pd.DataFrame, edges: pd.DataFrame, axis: str, *, log: bool
) -> alt.TopLevelMixin:
    """Total drift of leaking trials along ``axis``, with a dashed line at each edge.

    ``points`` has ``optimizer``, ``value``, ``verdict`` and ``drift``; ``edges`` has ``above``
    and ``optimizer``. Zero has no place on a logarithmic scale: trials that did not move are on
    a strip of their own below it. Raises NothingToDrawError where no trial leaked.
    """
    if not ((points["verdict"] == "leaks") & (points["drift"] > 0)).any():
        raise NothingToDrawError("no trial leaked")
    every = in_order("optimizer", points["optimizer"].astype(str))
    names = every[:MOST_OPTIMIZERS]
    drawn, marked = (each[each["optimizer"].isin(names)] for each in (points, edges))
    leaking = drawn[(drawn["verdict"] == "leaks") & (drawn["drift"] > 0)]
    scale = alt.Scale(
        type="log" if log else "linear",
        domain=[float(drawn["value"].min()), float(drawn["value"].max())],
        nice=False,
    )
    numbers = alt.Axis(tickCount=6, labelOverlap="greedy", format="~e")
    hidden = alt.Axis(labels=False, ticks=False, tickCount=6)
    kinds = {
        name: kind("optimizer:N", scale=alt.Scale(domain=names, range=list(look[: len(names)])))
        for name, kind, look in (("color", alt.Color, HUES), ("shape", alt.Shape, SHAPES))
    }
    y = alt.Y("drift:Q", title="total drift", **log_axis(leaking["drift"]))
    x = alt.X("value:Q", title=None, scale=scale, axis=hidden)
    moved = _of(leaking).mark_point(filled=True, size=30, opacity=0.8).encode(x=x, y=y, **kinds)
    at = alt.X("above:Q", scale=scale, title=None, axis=hidden)
    lines = alt.Chart(inline(marked[["above", "optimizer"]])).transform_filter(IS_CHOSEN)
    above = alt.layer(lines.mark_rule(strokeDash=[4, 3], color=FAINT).encode(x=at), moved)
    still = (
        _of(drawn[drawn["drift"] == 0])
        .mark_tick(thickness=1, height=10, color=FAINT)
        .encode(
            x=alt.X("value:Q", title=axis, scale=scale, axis=numbers),
            y=alt.Y(datum="0", type="nominal", title=None),
        )
    )
    strips = [above.properties(width=340, height=220), still.properties(width=340, height=14)]
    left = len(every) - len(names)
    notes = f"{counted(len(drawn), 'trial')}; on the strip below it kept still" + (
        f"; {counted(left, 'optimizer')} not drawn" if left else ""
    )
    return titled(alt.vconcat(*strips, spacing=4), _title(edges, axis), notes)


def _title(edges: pd.DataFrame, axis: str) -> str:
    if edges.empty:
        return f"No edge along {axis}"
    low, high = (f"{end:.3g}" for end in (edges["above"].min(), edges["above"].max()))
    where = f"at {low}" if low == high else f"in places from {low} to {high}"
    return f"Along {axis}, the verdict changes {where}"


def _of(points: pd.DataFrame) -> Any:
    return alt.Chart(inline(points[["value", "drift", "optimizer"]])).transform_filter(IS_CHOSEN)
