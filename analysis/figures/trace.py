"""The source article's picture: the loss, and the layer's change, over the steps of a trial."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures.look import FAINT, HUES, IS_CHOSEN, finished, inline
from analysis.figures.phrases import listed
from analysis.schema import AXES, ZERO_GRAD, in_order

NEEDS = ("id", "sweep", *AXES, "seed", "step", "frozen", "loss", "moved", "max_change")
FIRST_OPTIMIZER = "Adam"  # the article's; another where it was not traced
FIRST_SCHEDULE = "alternate"

_KINDS = ("attached", "frozen")
_SAME = ("optimizer", "lr", "weight_decay", "momentum", "schedule", "freeze", "seed")
_WIDTH = 112  # of a panel; three of them and their axis make a figure
_NOTE = "Largest change of any element on each step, and the loss before it"


def article_trace(steps: pd.DataFrame) -> alt.TopLevelMixin:
    """Loss and the layer's change by step, a column for each zero_grad, of one setting.

    ``steps`` has a row for each step of each traced trial. The setting is Adam's on the
    alternating schedule where it was traced, else the first there is. A change of 0 has no
    place on a log axis and is drawn on a line of its own below it. Raises
    NothingToDrawError where there is no step on which the layer was frozen.
    """
    traced = steps[steps.groupby("id")["frozen"].transform("any").astype(bool)]
    if traced.empty:
        raise NothingToDrawError("no trial with frozen steps was traced, as run --trace does")
    chosen = _chosen(traced)
    first = chosen.iloc[0]
    setting = ", ".join(f"{axis} {first[axis]:.6g}" for axis in _NUMBERS if pd.notna(first[axis]))
    subtitle = f"{_NOTE}. {first['optimizer']}, {setting}, schedule {first['schedule']}"
    return finished(_panels(chosen), title(chosen), subtitle)


_NO_HEADER = alt.Header(title=None, labelExpr="''", labelFontSize=1, labelPadding=0)
_NUMBERS = ("lr", "weight_decay", "momentum")


def title(steps: pd.DataFrame) -> str:
    """Whether the layer moved on frozen steps, by zero_grad, as a sentence."""
    frozen = steps[steps["frozen"].astype(bool)]
    moved = frozen.groupby("zero_grad", observed=True)["moved"].any()
    words = [word for word in ZERO_GRAD if word in moved.index]
    still = [word for word in words if not moved[word]]
    moving = [word for word in words if moved[word]]
    name = steps["optimizer"].iloc[0]
    if not moving:
        return f"{name} keeps the frozen layer still"
    moves = f"{name} moves the frozen layer with zero_grad {listed(moving)}"
    return f"{moves}, not with {listed(still)}" if still else moves


def _chosen(steps: pd.DataFrame) -> pd.DataFrame:
    """The steps of the trials of one setting that differ in zero_grad alone."""
    trials = steps.drop_duplicates("id").sort_values("id")
    rank = (trials["optimizer"] != FIRST_OPTIMIZER).astype(int) * 2
    rank += (trials["schedule"] != FIRST_SCHEDULE).astype(int)
    first = trials.iloc[rank.to_numpy().argmin()]
    same = pd.Series(True, index=trials.index)
    for name in _SAME:
        same &= trials[name].isna() if pd.isna(first[name]) else trials[name] == first[name]
    ids = trials[same].drop_duplicates("zero_grad")["id"]
    return steps[steps["id"].isin(ids)]


def _panels(steps: pd.DataFrame) -> Any:
    words = in_order("zero_grad", steps["zero_grad"].astype(str))
    floor = _floor(steps["max_change"])
    drawn = steps.assign(
        kind=[_KINDS[bool(frozen)] for frozen in steps["frozen"]],
        drawn=steps["max_change"].where(steps["max_change"] != 0, floor),
    )
    data = inline(drawn[["optimizer", "zero_grad", "step", "kind", "loss", "max_change", "drawn"]])
    base = alt.Chart().transform_filter(IS_CHOSEN).encode(tooltip=_tooltip())
    loss = base.mark_line(color=FAINT, strokeWidth=1.2).encode(
        x=alt.X("step:Q", title=None, axis=alt.Axis(labels=False, ticks=False)),
        y=alt.Y("loss:Q", title="loss (cross-entropy)", scale=alt.Scale(type="log"), axis=_AXIS),
    )
    column = alt.Column("zero_grad:N", sort=words, header=alt.Header(title="zero_grad"))
    bare = alt.Column("zero_grad:N", sort=words, header=_NO_HEADER)
    rows = [
        loss.properties(width=_WIDTH, height=80).facet(column, data=data, spacing=8),
        _changes(base, floor)
        .properties(width=_WIDTH, height=150)
        .facet(bare, data=data, spacing=8),
    ]
    return alt.vconcat(*rows, spacing=6)


def _changes(base: Any, floor: float) -> Any:
    """The layer's change at each step, those of 0 on the line at ``floor``."""
    zero = f"datum.value <= {floor!r} ? '0' : format(datum.value, '~g')"
    axis = alt.Axis(values=_decades(floor), labelExpr=zero, **_GRID)
    scale = alt.Scale(type="log", domainMin=floor, nice=False)
    kinds = alt.Scale(domain=list(_KINDS), range=[HUES[0], HUES[1]])
    shapes = alt.Scale(domain=list(_KINDS), range=["circle", "triangle-up"])
    legend = alt.Legend(title="step")
    points = base.mark_point(filled=True, size=18, opacity=0.85).encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickCount=3)),
        y=alt.Y("drawn:Q", title="largest change (parameter's units)", scale=scale, axis=axis),
        color=alt.Color("kind:N", scale=kinds, legend=legend),
        shape=alt.Shape("kind:N", scale=shapes, legend=legend),
    )
    line = alt.Chart().mark_rule(color=FAINT, strokeDash=[2, 2]).encode(y=alt.datum(floor))
    return alt.layer(line, points)


_GRID: dict[str, Any] = {"gridOpacity": 0.7, "labelOverlap": "greedy"}
_AXIS = alt.Axis(tickCount=3, format="~s", **_GRID)


def _floor(changes: pd.Series) -> float:
    """A power of ten at least one decade below every positive change: where 0 is drawn."""
    positive = changes[(changes > 0) & changes.map(lambda value: math.isfinite(value))]
    smallest = float(positive.min()) if len(positive) else 1.0
    return float(10.0 ** (math.floor(math.log10(smallest)) - 1))


def _decades(floor: float) -> list[float]:
    """Marks for the axis: the floor, then every other decade above it."""
    start = round(math.log10(floor))
    return [float(10.0**power) for power in (start, *range(start + 2, start + 40, 2))]


def _tooltip() -> list[alt.Tooltip]:
    words = [alt.Tooltip(name, type="nominal") for name in ("zero_grad", "step", "kind")]
    return words + [
        alt.Tooltip(name, type="quantitative", format=".3g") for name in ("loss", "max_change")
    ]
