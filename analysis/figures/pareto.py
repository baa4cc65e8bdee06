"""Several objectives of a search at once: all trials, and the front of the search's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures.look import FAINT, HUES, IS_CHOSEN, inline, titled
from analysis.figures.phrases import counted

KINDS = ("grid", "searched", "front")
"""Whose trial a point is: the grid's, the search's, or one of the search's Pareto front."""
MOST_DRAWN = 2_000  # of a kind that is no front
_SHAPES = ("cross", "circle", "diamond")
_COLOURS = ("#b8b8b8", HUES[4], HUES[1])
_TOOLTIP = ("optimizer", "lr", "weight_decay", "momentum", "zero_grad", "schedule", "freeze")


@dataclass(frozen=True, slots=True)
class DrawnObjective:
    """A column that is drawn, and whether more of it is what is looked for."""

    name: str
    larger: bool

    def beaten(self, points: pd.DataFrame, by: pd.Series) -> pd.Series:
        """Which points are no better than the trial ``by`` in it, as booleans."""
        column: pd.Series = points[self.name]
        return column.le(by[self.name]) if self.larger else column.ge(by[self.name])


def pareto_front(points: pd.DataFrame, x: DrawnObjective, y: DrawnObjective) -> alt.TopLevelMixin:
    """Trials by two objectives; a line through those that no other of the search's beats.

    ``points`` has a row a trial: the objectives, ``kind`` (of `KINDS`) and the axes. Those far
    from the front are left out. How many of the grid's beat a part of the front is said. An axis
    whose values are far apart is logarithmic but near 0, and says so. Raises NothingToDrawError
    where no trial is of the front.
    """
    on_front = points[points["kind"] == "front"]
    if on_front.empty:
        raise NothingToDrawError("no trial has a value for every objective")
    near = points[_near(points, on_front, x) & _near(points, on_front, y)]
    drawn = pd.concat([_thinned(near[near["kind"] == kind]) for kind in KINDS])
    notes = [f"{counted(len(on_front), 'trial')} on the front of the search"]
    beating = _beating(points[points["kind"] == "grid"], on_front, x, y)
    notes += [f"{counted(beating, 'trial')} of the grid beat some of it"] if beating else []
    if len(drawn) < len(points):
        notes.append(f"{len(drawn):,} of {len(points):,} trials drawn, those near it")
    return titled(_layers(drawn, x, y), _title(on_front, x, y), "; ".join(notes))


def _title(on_front: pd.DataFrame, x: DrawnObjective, y: DrawnObjective) -> str:
    """The two ends of the front, as a sentence."""
    first, last = (_extreme(on_front, each) for each in (y, x))
    if first.equals(last):
        return f"One trial of the search has both the most extreme {y.name} and {x.name}"
    return (
        f"The search's front: from {y.name} {first[y.name]:.3g} at {x.name} {first[x.name]:.3g} "
        f"to {last[y.name]:.3g} at {last[x.name]:.3g}"
    )


def _beating(
    grid: pd.DataFrame, on_front: pd.DataFrame, x: DrawnObjective, y: DrawnObjective
) -> int:
    """How many of the grid's trials are better than one of the front's in both, or equal in one."""
    found = 0
    for _, trial in grid.iterrows():
        beaten = x.beaten(on_front, trial) & y.beaten(on_front, trial)
        same = (on_front[x.name] == trial[x.name]) & (on_front[y.name] == trial[y.name])
        found += bool((beaten & ~same).any())
    return found


def _extreme(points: pd.DataFrame, objective: DrawnObjective) -> pd.Series:
    return points.sort_values(objective.name, ascending=not objective.larger).iloc[0]


def _near(points: pd.DataFrame, on_front: pd.DataFrame, objective: DrawnObjective) -> pd.Series:
    """Which points are no farther from the front than it is long, by the objective.

    A single trial that nearly diverged would leave the front no room.
    """
    low, high = on_front[objective.name].min(), on_front[objective.name].max()
    room = (high - low) or abs(high) or 1.0
    return points[objective.name].between(low - room, high + room)


def _thinned(points: pd.DataFrame) -> pd.DataFrame:
    """At most `MOST_DRAWN` of them, evenly; a front's all."""
    is_front = (points["kind"] == "front").any()
    return points if is_front else points.iloc[:: max(1, -(-len(points) // MOST_DRAWN))]


def _layers(points: pd.DataFrame, x: DrawnObjective, y: DrawnObjective) -> Any:
    shown = [name for name in _TOOLTIP if name in points]
    data = inline(points[[x.name, y.name, "kind", *shown]])
    places = {"x": alt.X(**_axis(x, points)), "y": alt.Y(**_axis(y, points))}
    kinds = [kind for kind in KINDS if (points["kind"] == kind).any()]
    numbers = [KINDS.index(kind) for kind in kinds]
    colours = alt.Scale(domain=kinds, range=[_COLOURS[number] for number in numbers])
    shapes = alt.Scale(domain=kinds, range=[_SHAPES[number] for number in numbers])
    named: dict[str, Any] = {"sort": kinds, "legend": alt.Legend(title="trials")}
    marks = (
        alt.Chart()
        .transform_filter(IS_CHOSEN)
        .mark_point(filled=True, opacity=0.8, size=40)
        .encode(
            **places,
            color=alt.Color("kind:N", scale=colours, **named),
            shape=alt.Shape("kind:N", scale=shapes, **named),
            tooltip=[alt.Tooltip(name, type="nominal") for name in (x.name, y.name, *shown)],
        )
    )
    line = (
        alt.Chart()
        .transform_filter("datum.kind === 'front'")
        .mark_line(color=FAINT, strokeWidth=1, strokeDash=[4, 3])
        .encode(**places, order=alt.Order(f"{x.name}:Q"))
    )
    return alt.layer(line, marks, data=data).properties(width=340, height=260)


def _axis(objective: DrawnObjective, points: pd.DataFrame) -> dict[str, Any]:
    """Linear; logarithmic but near 0 where the largest is over 100 times the median."""
    said = f"{objective.name}, {'more' if objective.larger else 'less'} is looked for"
    scale, written = alt.Scale(zero=False), "~g"
    positive = points.loc[points[objective.name] > 0, objective.name]
    if len(positive) and float(positive.max()) > 100 * float(positive.median()):
        linear = float(positive.median())
        scale, written = alt.Scale(type="symlog", constant=linear), "~e"
        said += f" (linear below {linear:.2g})"
    axis = alt.Axis(tickCount=5, labelOverlap="greedy", format=written)
    return {"field": objective.name, "type": "quantitative", "title": said} | {
        "scale": scale,
        "axis": axis,
    }
