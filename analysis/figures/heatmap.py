"""Which optimizers leak, by how gradients are cleared and when the layer is frozen."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures.look import (
    INK,
    IS_CHOSEN,
    LEAK_RAMP,
    NO_RATE,
    RATE_TEXT,
    SMALL_TEXT,
    finished,
    inline,
)
from analysis.figures.phrases import counted, listed
from analysis.schema import ZERO_GRAD, in_order
from analysis.tables.rates import MEASURES, rates

NEEDS = ("sweep", "optimizer", "zero_grad", "schedule", *MEASURES)
MOST_ROWS = 30  # with more optimizers, those with the same rates share a row
MOST_COLUMNS = 3  # schedules side by side
MOST_NAMED = 3  # optimizers that a title spells out

_WORD = {"none": "set to None", "zero": "zeroed", "never": "never cleared"}
_KEYS = ["zero_grad", "schedule"]
_COUNTS = ("trials", "leaks", "inert", "failed")


def leak_rate_heatmap(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Leak rate by optimizer (rows) and zero_grad (columns), a panel for each schedule.

    Optimizers with the same rates in every cell share a row where there are more than
    `MOST_ROWS`. Raises NothingToDrawError where no trial leaks or holds.
    """
    cells = rates(frame, ["optimizer", *_KEYS])
    if not cells["trials"].sum():
        raise NothingToDrawError("no trial leaks or holds")
    cells["row"] = cells["optimizer"].map(_row_names(cells))
    return finished(_panels(cells), title(cells), f"Percent of trials that leak{_remark(cells)}")


def title(cells: pd.DataFrame) -> str:
    """What the rates by optimizer and zero_grad say, as a sentence without a full stop."""
    leaking = {word: _leaking(cells, word) for word in ZERO_GRAD if _tried(cells, word)}
    others = [word for word in leaking if word != "none" and leaking[word]]
    if not any(leaking.values()):
        return "No optimizer leaks"
    if "none" in leaking and others and len(leaking["none"]) <= MOST_NAMED:
        return "Setting grads to None stops every leak" + _but(leaking["none"])
    parts = [f"{len(leaking[w])} of {_tried(cells, w)} with grads {_WORD[w]}" for w in leaking]
    return "Optimizers that leak: " + ", ".join(parts)


def _but(names: list[str]) -> str:
    if not names:
        return ""
    return f" but {names[0]}'s" if len(names) == 1 else f" but those of {listed(names)}"


def _leaking(cells: pd.DataFrame, word: str) -> list[str]:
    found = cells.loc[(cells["zero_grad"] == word) & (cells["leaks"] > 0), "optimizer"]
    return in_order("optimizer", found)


def _tried(cells: pd.DataFrame, word: str) -> int:
    tried = cells.loc[(cells["zero_grad"] == word) & (cells["trials"] > 0), "optimizer"]
    return int(tried.nunique())


def _row_names(cells: pd.DataFrame) -> dict[str, str]:
    """The name of the row that each optimizer is drawn in."""
    optimizers = in_order("optimizer", cells["optimizer"])
    if len(optimizers) <= MOST_ROWS:
        return {name: name for name in optimizers}
    alike: dict[tuple[object, ...], list[str]] = {}
    for name, own in cells.groupby("optimizer"):
        pattern = tuple(
            zip(own["zero_grad"], own["schedule"], own["leak_rate"].fillna(-1), strict=True)
        )
        alike.setdefault(pattern, []).append(str(name))
    return {name: _group_name(group) for group in alike.values() for name in group}


def _group_name(group: list[str]) -> str:
    first = in_order("optimizer", group)[0]
    return first if len(group) == 1 else f"{first} and {counted(len(group) - 1, 'other')}"


def _remark(cells: pd.DataFrame) -> str:
    optimizers, rows = cells["optimizer"].nunique(), cells["row"].nunique()
    if rows == optimizers:
        return ""
    return f". {optimizers} optimizers; those with the same rates share one of {rows} rows"


def _panels(cells: pd.DataFrame) -> Any:
    words = in_order("zero_grad", cells["zero_grad"])
    schedules = in_order("schedule", cells["schedule"])
    columns = min(len(schedules), MOST_COLUMNS)
    step = min(44, 306 // (columns * len(words)))
    data = inline(cells[["row", "optimizer", *_KEYS, *_COUNTS]])
    base = alt.Chart().encode(
        x=alt.X(
            "zero_grad:N",
            sort=words,
            title="zero_grad",
            axis=_BARE,
        ),
        y=alt.Y("row:N", sort=_by_rate(cells), title=None, axis=_BARE),
    )
    cell = base.mark_rect(stroke="white", invalid=None).encode(color=_colour(), tooltip=_tooltip())
    text = base.mark_text(fontSize=SMALL_TEXT, tooltip=None).encode(
        text="percent:N",
        color=alt.condition("datum.rate > 0.6", alt.value("white"), alt.value(INK)),
    )
    panel = alt.layer(cell, text).properties(width=alt.Step(step), height=alt.Step(19))
    header = alt.Header(title="schedule" if len(schedules) > 1 else None)
    facet = alt.Facet("schedule:N", sort=schedules, header=header)
    return _counted(panel.facet(facet, data=data, columns=columns, spacing=10))


_BARE = alt.Axis(labelAngle=0, ticks=False, domain=False, labelLimit=260)


def _by_rate(cells: pd.DataFrame) -> list[str]:
    """The rows from the highest leak rate to the lowest."""
    counts = cells.groupby("row")[["leaks", "trials"]].sum()
    rate = counts["leaks"] / counts["trials"].clip(lower=1)
    return list(rate.sort_values(ascending=False, kind="stable").index)


def _counted(chart: Any) -> Any:
    """``chart`` of the chosen optimizers' counts, added up for each cell."""
    sums = [alt.AggregatedFieldDef(op="sum", field=name, **{"as": name}) for name in _COUNTS]
    alike = alt.AggregatedFieldDef(op="distinct", field="optimizer", **{"as": "optimizers"})
    return (
        chart.transform_filter(IS_CHOSEN)
        .transform_aggregate([*sums, alike], groupby=["row", *_KEYS])
        .transform_calculate(rate="datum.trials > 0 ? datum.leaks / datum.trials : null")
        .transform_calculate(percent=RATE_TEXT)
    )


def _colour() -> alt.Color:
    scale = alt.Scale(domain=[0, 0.5, 1], range=list(LEAK_RAMP), interpolate="lab")
    rate = alt.Color("rate:Q", scale=scale, legend=None)
    return alt.condition("datum.rate === null", alt.value(NO_RATE), rate)


def _tooltip() -> list[alt.Tooltip]:
    names = ("row", *_KEYS, "optimizers", *_COUNTS)
    kinds = {"row": "optimizer"}
    return [alt.Tooltip(name, type="nominal", title=kinds.get(name, name)) for name in names]
