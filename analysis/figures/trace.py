"""The source article's picture: the loss, and the layer's change, over the steps of a trial."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures.look import FAINT, HUES, IS_CHOSEN, inline, log_axis, titled
from analysis.figures.phrases import joined
from analysis.schema import CLEARINGS, in_order

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
    place on a log axis and is drawn on a strip of its own below it. Raises
    NothingToDrawError where there is no step on which the layer was frozen.
    """
    traced = steps[steps.groupby("id")["frozen"].transform("any").astype(bool)]
    if traced.empty:
        raise NothingToDrawError("no trial with frozen steps was recorded step by step")
    chosen = _chosen(traced)
    first = chosen.iloc[0]
    setting = ", ".join(f"{axis} {first[axis]:.6g}" for axis in _NUMBERS if pd.notna(first[axis]))
    subtitle = f"{_NOTE}. {first['optimizer']}, {setting}, schedule {first['schedule']}"
    return titled(_panels(chosen), _title(chosen), subtitle)


_NUMBERS = ("lr", "weight_decay", "momentum")


def _title(steps: pd.DataFrame) -> str:
    """Whether the layer moved on frozen steps, by zero_grad, as a sentence."""
    frozen = steps[steps["frozen"].astype(bool)]
    moved = frozen.groupby("zero_grad", observed=True)["moved"].any()
    words = [word for word in CLEARINGS if word in moved.index]
    still = [word for word in words if not moved[word]]
    moving = [word for word in words if moved[word]]
    name = steps["optimizer"].iloc[0]
    if not moving:
        return f"{name} keeps the frozen layer still"
    moves = f"{name} moves the frozen layer with zero_grad {joined(moving)}"
    return f"{moves}, not with {joined(still)}" if still else moves


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
    """The loss, the changes above 0 on a log axis, and those of 0 on a strip of their own."""
    words = in_order("zero_grad", steps["zero_grad"].astype(str))
    kinds = [_KINDS[bool(frozen)] for frozen in steps["frozen"]]
    moving = steps.loc[steps["max_change"] > 0, "max_change"]
    drawn = steps.assign(kind=kinds, placed=steps["max_change"].clip(lower=moving.min()))
    shown = ["optimizer", "zero_grad", "step", "kind", "loss", "max_change", "placed"]
    data = inline(drawn[shown])
    base = alt.Chart().transform_filter(IS_CHOSEN).encode(tooltip=_tooltip())
    hidden = alt.X("step:Q", title=None, axis=alt.Axis(labels=False, ticks=False, grid=False))
    positive = steps.loc[steps["loss"] > 0, "loss"]
    loss = base.mark_line(color=FAINT, strokeWidth=1.2).encode(
        x=hidden, y=alt.Y("loss:Q", title="loss", **log_axis(positive))
    )
    changes = _points(base, hidden, "datum.max_change > 0").encode(
        y=alt.Y("placed:Q", title="largest change of any element", **log_axis(moving))
    )
    numbered = alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickCount=3))
    zero = alt.Axis(values=[0], labels=True, ticks=False, format="d", domain=False, grid=True)
    still = _points(base, numbered, "datum.max_change === 0").encode(
        y=alt.Y(datum=0, title=None, scale=alt.Scale(domain=[-1, 1]), axis=zero)
    )
    heights = [(loss, 80), (changes, 140), (still, 16)]
    rows = [
        chart.properties(width=_WIDTH, height=height).facet(
            alt.Column("zero_grad:N", sort=words, header=_header(place == 0)), data=data, spacing=8
        )
        for place, (chart, height) in enumerate(heights)
    ]
    return alt.vconcat(*rows, spacing=6)


def _points(base: Any, x: alt.X, which: str) -> Any:
    """A point a step, of which only ``which`` is to be seen: the others keep its panel there."""
    kinds = alt.Scale(domain=list(_KINDS), range=[HUES[0], HUES[1]])
    shapes = alt.Scale(domain=list(_KINDS), range=["circle", "triangle-up"])
    legend = alt.Legend(title="step")
    return base.mark_point(filled=True, size=18).encode(
        x=x,
        color=alt.Color("kind:N", scale=kinds, legend=legend),
        shape=alt.Shape("kind:N", scale=shapes, legend=legend),
        opacity=alt.condition(which, alt.value(0.85), alt.value(0)),
    )


def _header(is_first: bool) -> alt.Header:
    if is_first:
        return alt.Header(title="zero_grad")
    return alt.Header(title=None, labelExpr="''", labelFontSize=1, labelPadding=0)


def _tooltip() -> list[alt.Tooltip]:
    words = [alt.Tooltip(name, type="nominal") for name in ("zero_grad", "step", "kind")]
    return words + [
        alt.Tooltip(name, type="quantitative", format=".3g") for name in ("loss", "max_change")
    ]
