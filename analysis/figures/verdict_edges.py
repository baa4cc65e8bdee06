"""Drift along one number of the setting, and where the verdict changes."""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures import look
from analysis.schema import in_order

MOST_OPTIMIZERS = len(look.LOOKS)


def edge_figure(
    trials: pd.DataFrame, edges: pd.DataFrame, axis: str, *, log: bool
) -> alt.TopLevelMixin:
    """Total drift of leaking trials along ``axis``, with a dashed line at each edge.

    ``trials`` has ``optimizer``, the axis, ``verdict`` and ``total_drift``; ``edges`` has ``above``
    and ``optimizer``. Zero has no place on a logarithmic scale: trials that did not move are on
    a strip of their own below it. Raises NothingToDrawError where no trial leaked.
    """
    points = trials.assign(value=trials[axis], drift=trials["total_drift"])
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
    shown = ["value", "drift", "optimizer"]
    moved = look.chosen(leaking[shown]).mark_point(filled=True, size=30, opacity=0.8)
    moved = moved.encode(
        x=alt.X("value:Q", title=None, scale=scale, axis=hidden),
        y=alt.Y("drift:Q", title="total drift", **look.log_axis(leaking["drift"])),
        **look.told_apart("optimizer", dict(zip(names, look.LOOKS, strict=False))),
    )
    lines = look.chosen(marked[["above", "optimizer"]])
    lines = lines.mark_rule(strokeDash=[4, 3], color=look.FAINT)
    edge = lines.encode(x=alt.X("above:Q", scale=scale, title=None, axis=hidden))
    still = look.chosen(drawn.loc[drawn["drift"] == 0, shown])
    still = still.mark_tick(thickness=1, height=10, color=look.FAINT).encode(
        x=alt.X("value:Q", title=axis, scale=scale, axis=numbers),
        y=alt.Y(datum="0", type="nominal", title=None),
    )
    above = alt.layer(edge, moved)
    strips = [above.properties(width=340, height=220), still.properties(width=340, height=14)]
    left = len(every) - len(names)
    notes = f"{look.counted(len(drawn), 'trial')}; on the strip below it kept still" + (
        f"; {look.counted(left, 'optimizer')} not drawn" if left else ""
    )
    return look.titled(alt.vconcat(*strips, spacing=4), _title(edges, axis), notes)


def _title(edges: pd.DataFrame, axis: str) -> str:
    if edges.empty:
        return f"No edge along {axis}"
    low, high = (f"{end:.3g}" for end in (edges["above"].min(), edges["above"].max()))
    where = f"at {low}" if low == high else f"in places from {low} to {high}"
    return f"Along {axis}, the verdict changes {where}"
