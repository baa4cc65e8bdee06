"""The source article's picture: the loss, and the layer's change, over the steps of a trial."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures import look
from analysis.schema import CLEARINGS, in_order

FIRST_OPTIMIZER = "Adam"  # the article's; another where it was not traced
FIRST_SCHEDULE = "alternate"

_KINDS = {"attached": (look.HUES[0], "circle"), "frozen": (look.HUES[1], "triangle-up")}
_NUMBERS = ("lr", "weight_decay", "momentum")
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
    return look.titled(_panels(chosen), _title(chosen), subtitle)


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
    moves = f"{name} moves the frozen layer with zero_grad {look.joined(moving)}"
    return f"{moves}, not with {look.joined(still)}" if still else moves


def _chosen(steps: pd.DataFrame) -> pd.DataFrame:
    """The steps of the trials of one setting that differ in zero_grad alone."""
    trials = steps.drop_duplicates("id").sort_values("id", ignore_index=True)
    rank = (trials["optimizer"] != FIRST_OPTIMIZER).astype(int) * 2
    first = int((rank + (trials["schedule"] != FIRST_SCHEDULE)).to_numpy().argmin())
    setting = trials.groupby(list(_SAME), observed=True, dropna=False).ngroup()
    ids = trials[setting == setting.iloc[first]].drop_duplicates("zero_grad")["id"]
    return steps[steps["id"].isin(ids)]


def _panels(steps: pd.DataFrame) -> Any:
    """The loss, the changes above 0 on a log axis, and those of 0 on a strip of their own."""
    words = in_order("zero_grad", steps["zero_grad"].astype(str))
    kinds = steps["frozen"].map({False: "attached", True: "frozen"})
    moving = steps.loc[steps["max_change"] > 0, "max_change"]
    drawn = steps.assign(kind=kinds, placed=steps["max_change"].clip(lower=moving.min()))
    shown = ["optimizer", "zero_grad", "step", "kind", "loss", "max_change", "placed"]
    data = look.inline(drawn[shown])
    told = look.tips("zero_grad", "step", "kind")
    told += [alt.Tooltip(f"{name}:Q", format=".3g") for name in ("loss", "max_change")]
    base = alt.Chart().transform_filter(look.IS_CHOSEN).encode(tooltip=told)
    hidden = alt.X("step:Q", title=None, axis=alt.Axis(labels=False, ticks=False, grid=False))
    positive = steps.loc[steps["loss"] > 0, "loss"]
    loss = base.mark_line(color=look.FAINT, strokeWidth=1.2).encode(
        x=hidden, y=alt.Y("loss:Q", title="loss", **look.log_axis(positive))
    )
    changes = _points(base, hidden, "datum.max_change > 0").encode(
        y=alt.Y("placed:Q", title="largest change of any element", **look.log_axis(moving))
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
    return base.mark_point(filled=True, size=18).encode(
        x=x,
        **look.told_apart("kind", _KINDS, legend=alt.Legend(title="step")),
        opacity=alt.condition(which, alt.value(0.85), alt.value(0)),
    )


def _header(is_first: bool) -> alt.Header:
    if is_first:
        return alt.Header(title="zero_grad")
    return alt.Header(title=None, labelExpr="''", labelFontSize=1, labelPadding=0)
