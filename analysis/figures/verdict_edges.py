"""Drift along one number of the setting, and where the verdict changes."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures.look import FAINT, HUES, IS_CHOSEN, SHAPES, inline, titled
from analysis.figures.phrases import counted

MOST_OPTIMIZERS = len(HUES)


def edge_figure(
    points: pd.DataFrame, edges: pd.DataFrame, axis: str, *, log: bool
) -> alt.TopLevelMixin:
    """Total drift of leaking trials along ``axis``, with a dashed line at each edge.

    ``points`` has ``optimizer``, ``value``, ``verdict`` and ``drift``; ``edges`` has ``above``
    and ``optimizer``. Trials that did not leak are ticks on the ground, as zero has no place on
    a logarithmic scale. Raises NothingToDrawError where no trial leaked.
    """
    leaking = points[(points["verdict"] == "leaks") & (points["drift"] > 0)]
    if leaking.empty:
        raise NothingToDrawError("no trial leaked")
    names = sorted(points["optimizer"].unique())[:MOST_OPTIMIZERS]
    leaking, still = (
        each[each["optimizer"].isin(names)] for each in (leaking, points[points["drift"] == 0])
    )
    scale = alt.Scale(type="log" if log else "linear")
    x = alt.X("value:Q", title=axis, scale=scale, axis=_AXIS)
    kinds = {
        "color": alt.Color("optimizer:N", scale=alt.Scale(domain=names, range=HUES[: len(names)])),
        "shape": alt.Shape(
            "optimizer:N", scale=alt.Scale(domain=names, range=SHAPES[: len(names)])
        ),
    }
    y = alt.Y("drift:Q", title="total drift", scale=alt.Scale(type="log"), axis=_AXIS)
    moved = _of(leaking).mark_point(filled=True, size=30, opacity=0.8).encode(x=x, y=y, **kinds)
    kept = _of(still).mark_tick(thickness=1, height=8, color=FAINT).encode(x=x, y=alt.value(240))
    at = alt.X("above:Q", scale=scale)
    marked = (
        alt.Chart(inline(edges[["above", "optimizer"]]))
        .transform_filter(IS_CHOSEN)
        .mark_rule(strokeDash=[4, 3], color=FAINT)
        .encode(x=at)
    )
    chart = alt.layer(marked, kept, moved).properties(width=340, height=240)
    notes = f"{counted(len(points), 'trial')}; ticks on the ground kept still"
    return titled(chart, _title(edges, axis), notes)


def _title(edges: pd.DataFrame, axis: str) -> str:
    if edges.empty:
        return f"No edge along {axis}"
    low, high = (f"{end:.3g}" for end in (edges["above"].min(), edges["above"].max()))
    between = f"at {low}" if low == high else f"between {low} and {high}"
    return f"Along {axis}, the verdict changes {between}"


def _of(points: pd.DataFrame) -> Any:
    return alt.Chart(inline(points[["value", "drift", "optimizer"]])).transform_filter(IS_CHOSEN)


_AXIS = alt.Axis(tickCount=6, labelOverlap="greedy", format="~e")
