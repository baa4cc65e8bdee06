"""Several objectives of a search at once: all trials, and the front of the search's own."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures import look
from analysis.found import SMALLER

_LOOKS = {
    "grid": ("#b8b8b8", "cross"),
    "searched": (look.HUES[4], "circle"),
    "front": (look.HUES[1], "diamond"),
}
KINDS = tuple(_LOOKS)
"""Whose trial a point is: the grid's, the search's, or one of the search's Pareto front."""
MOST_DRAWN = 2_000  # of a kind that is no front
_TOOLTIP = ("optimizer", "lr", "weight_decay", "momentum", "zero_grad", "schedule", "freeze")


def pareto_front(points: pd.DataFrame, x: str, y: str) -> alt.TopLevelMixin:
    """Trials by two objectives; a line through those that no other of the search's beats.

    ``points`` has a row a trial: the columns ``x`` and ``y``, ``kind`` (of `KINDS`) and the axes.
    Those far from the front are left out. How many of the grid's beat a part of the front is said.
    An axis whose values are far apart is logarithmic but near 0, and says so. Raises
    NothingToDrawError where no trial is of the front.
    """
    on_front = points[points["kind"] == "front"]
    if on_front.empty:
        raise NothingToDrawError("no trial has a value for every objective")
    near = points[_near(points, on_front, x) & _near(points, on_front, y)]
    drawn = pd.concat([_thinned(near[near["kind"] == kind]) for kind in KINDS])
    notes = [f"{look.counted(len(on_front), 'trial')} on the front of the search"]
    beating = _beating(points[points["kind"] == "grid"], on_front, x, y)
    notes += [f"{look.counted(beating, 'trial')} of the grid beat some of it"] if beating else []
    if len(drawn) < len(points):
        notes.append(f"{len(drawn):,} of {len(points):,} trials drawn, those near it")
    return look.titled(_layers(drawn, x, y), _title(on_front, x, y), "; ".join(notes))


def _title(on_front: pd.DataFrame, x: str, y: str) -> str:
    """The two ends of the front, as a sentence."""
    first, last = (on_front.sort_values(n, ascending=n in SMALLER).iloc[0] for n in (y, x))
    if first.equals(last):
        return f"One trial of the search has both the most extreme {y} and {x}"
    return (
        f"The search's front: from {y} {first[y]:.3g} at {x} {first[x]:.3g} to {last[y]:.3g} at "
        f"{last[x]:.3g}"
    )


def _beating(grid: pd.DataFrame, on_front: pd.DataFrame, *names: str) -> int:
    """How many of the grid's trials are better than one of the front's in one, no worse in both."""
    signs = [-1 if name in SMALLER else 1 for name in names]
    theirs, ours = (each[list(names)].to_numpy("float64") * signs for each in (grid, on_front))
    beat = np.zeros(len(theirs), bool)
    for one in ours:
        beat |= (theirs >= one).all(axis=1) & (theirs > one).any(axis=1)
    return int(beat.sum())


def _near(points: pd.DataFrame, on_front: pd.DataFrame, name: str) -> pd.Series:
    """Which points are no farther from the front than it is long, by the objective.

    A single trial that nearly diverged would leave the front no room.
    """
    low, high = on_front[name].min(), on_front[name].max()
    room = (high - low) or abs(high) or 1.0
    return points[name].between(low - room, high + room)


def _thinned(points: pd.DataFrame) -> pd.DataFrame:
    """At most `MOST_DRAWN` of them, evenly; a front's all."""
    is_front = (points["kind"] == "front").any()
    return points if is_front else points.iloc[:: max(1, -(-len(points) // MOST_DRAWN))]


def _layers(points: pd.DataFrame, x: str, y: str) -> Any:
    shown = [name for name in _TOOLTIP if name in points]
    data = look.inline(points[[x, y, "kind", *shown]])
    places = {"x": alt.X(**_axis(x, points)), "y": alt.Y(**_axis(y, points))}
    looks = {kind: own for kind, own in _LOOKS.items() if (points["kind"] == kind).any()}
    legend = {"sort": list(looks), "legend": alt.Legend(title="trials")}
    marks = alt.Chart().transform_filter(look.IS_CHOSEN)
    marks = marks.mark_point(filled=True, opacity=0.8, size=40)
    marks = marks.encode(
        **places, **look.told_apart("kind", looks, **legend), tooltip=look.tips(x, y, *shown)
    )
    line = alt.Chart().transform_filter("datum.kind === 'front'")
    line = line.mark_line(color=look.FAINT, strokeWidth=1, strokeDash=[4, 3])
    line = line.encode(**places, order=alt.Order(f"{x}:Q"))
    return alt.layer(line, marks, data=data).properties(width=340, height=260)


def _axis(name: str, points: pd.DataFrame) -> dict[str, Any]:
    """Linear; logarithmic but near 0 where the largest is over 100 times the median."""
    said = f"{name}, {'less' if name in SMALLER else 'more'} is looked for"
    scale, written = alt.Scale(zero=False), "~g"
    positive = points.loc[points[name] > 0, name]
    if len(positive) and float(positive.max()) > 100 * float(positive.median()):
        linear = float(positive.median())
        scale, written = alt.Scale(type="symlog", constant=linear), "~e"
        said += f" (linear below {linear:.2g})"
    axis = alt.Axis(tickCount=5, labelOverlap="greedy", format=written)
    return {"shorthand": f"{name}:Q", "title": said, "scale": scale, "axis": axis}
