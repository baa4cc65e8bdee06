"""Several objectives of a search at once: all trials, and the front that nothing beats."""

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
MOST_POINTS = 2_000  # of a kind that is no front
_SHAPES = ("cross", "circle", "diamond")
_COLOURS = ("#b8b8b8", HUES[4], HUES[1])
_TOOLTIP = ("optimizer", "lr", "weight_decay", "momentum", "zero_grad", "schedule", "freeze")


@dataclass(frozen=True, slots=True)
class DrawnObjective:
    """A column that is drawn, and whether more of it is what is looked for."""

    name: str
    larger: bool

    @property
    def wanted(self) -> str:
        """The axis's title."""
        return f"{self.name}, {'more' if self.larger else 'less'} is looked for"


def pareto_front(points: pd.DataFrame, x: DrawnObjective, y: DrawnObjective) -> alt.TopLevelMixin:
    """Trials by two objectives; the Pareto front is a line through its trials.

    ``points`` has a row a trial: the objectives, ``kind`` (of `KINDS`) and the axes. Those far
    from the front are left out. An axis whose values are far apart is logarithmic but near 0.
    Raises NothingToDrawError where no trial is of the front.
    """
    on_front = points[points["kind"] == "front"]
    if on_front.empty:
        raise NothingToDrawError("no trial has a value for every objective")
    near = points[_near(points, on_front, x) & _near(points, on_front, y)]
    drawn = pd.concat([_thinned(near[near["kind"] == kind]) for kind in KINDS])
    notes = [f"{counted(len(on_front), 'trial')} on the front"]
    if len(drawn) < len(points):
        notes.append(f"{len(drawn):,} of {len(points):,} trials drawn, those near it")
    return titled(_layers(drawn, x, y), title(on_front, x, y), "; ".join(notes))


def title(on_front: pd.DataFrame, x: DrawnObjective, y: DrawnObjective) -> str:
    """The two ends of the front, as a sentence."""
    first, last = (_extreme(on_front, each) for each in (y, x))
    if first.equals(last):
        return f"One trial has both the most extreme {y.name} and {x.name}"
    return (
        f"From {y.name} {first[y.name]:.3g} at {x.name} {first[x.name]:.3g} "
        f"to {last[y.name]:.3g} at {last[x.name]:.3g}"
    )


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
    """At most `MOST_POINTS` of them, evenly; a front's all."""
    is_front = (points["kind"] == "front").any()
    return points if is_front else points.iloc[:: max(1, -(-len(points) // MOST_POINTS))]


def _layers(points: pd.DataFrame, x: DrawnObjective, y: DrawnObjective) -> Any:
    shown = [name for name in _TOOLTIP if name in points]
    data = inline(points[[x.name, y.name, "kind", *shown]])
    places = {
        "x": alt.X(f"{x.name}:Q", title=x.wanted, scale=_scale(points[x.name]), axis=_AXIS),
        "y": alt.Y(f"{y.name}:Q", title=y.wanted, scale=_scale(points[y.name]), axis=_AXIS),
    }
    kinds = [kind for kind in KINDS if (points["kind"] == kind).any()]
    numbers = [KINDS.index(kind) for kind in kinds]
    colours = alt.Scale(domain=kinds, range=[_COLOURS[number] for number in numbers])
    shapes = alt.Scale(domain=kinds, range=[_SHAPES[number] for number in numbers])
    legend = alt.Legend(title="trials")
    marks = (
        alt.Chart()
        .transform_filter(IS_CHOSEN)
        .mark_point(filled=True, opacity=0.8, size=40)
        .encode(
            **places,
            color=alt.Color("kind:N", scale=colours, sort=kinds, legend=legend),
            shape=alt.Shape("kind:N", scale=shapes, sort=kinds, legend=legend),
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


_AXIS = alt.Axis(tickCount=5, labelOverlap="greedy", format="~g")


def _scale(numbers: pd.Series) -> alt.Scale:
    """Linear; logarithmic but near 0 where the largest is over 100 times the median."""
    positive = numbers[numbers > 0]
    if len(positive) and float(positive.max()) > 100 * float(positive.median()):
        return alt.Scale(type="symlog", constant=float(positive.median()))
    return alt.Scale(zero=False)
