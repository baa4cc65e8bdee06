"""How every figure looks, and the few pieces of Vega-Lite that they share.

Colours are told apart by the colour-blind and in grey print: ramps go from light to dark,
hues are Okabe and Ito's and each comes with a shape of its own. Sizes are made for one
column of a paper: text of 11 pixels at a width of 420 is still read at 3.4 inches.

Okabe, Ito: Color Universal Design, https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from typing import Any, cast

import altair as alt
import pandas as pd

SMALL_TEXT = 11
TITLE_TEXT = 14
TITLE_LETTERS = 54  # as many as fit in the width
SUBTITLE_LETTERS = 70

INK = "#222222"
FAINT = "#6b6b6b"
NO_RATE = "#ececec"
LEAK_RAMP = ("#fbf1e3", "#f0a04b", "#8c2d04")  # luminance falls from end to end
STOP_RAMP = ("#f1f3f2", "#4fa39a", "#06403f")
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f")
SHAPES = ("circle", "triangle-up", "square", "diamond", "cross", "triangle-down", "triangle-left")
BARE_AXIS = alt.Axis(labelAngle=0, ticks=False, domain=False, labelLimit=260)

CHOSEN = "chosen"
"""The signal with the optimizers to show, as names; null for all. The report's filter sets it."""

IS_CHOSEN = f"{CHOSEN} === null || indexof({CHOSEN}, datum.optimizer) >= 0"
RATE_TEXT = (
    "datum.rate === null ? '–' : datum.rate > 0 && datum.rate < 0.005 ? '<1'"
    " : datum.rate < 1 && datum.rate >= 0.995 ? '>99' : format(100 * datum.rate, '.0f')"
)
"""A rate in [0, 1] as percent; 0 and 100 are kept for the exact values."""


def inline(rows: pd.DataFrame) -> alt.InlineData:
    """The rows as data inside the figure; null, NaN and infinity become null."""
    columns = {str(name): [_plain(value) for value in rows[name]] for name in rows.columns}
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return alt.InlineData(values=records)


def titled(chart: Any, title: str, subtitle: str) -> alt.TopLevelMixin:
    """``chart`` under its title, with the filter's signal and the look of all figures."""
    heading = alt.TitleParams(
        text=textwrap.wrap(title, TITLE_LETTERS),
        subtitle=textwrap.wrap(subtitle, SUBTITLE_LETTERS),
    )
    whole = chart.properties(title=heading).configure(**_CONFIG)
    whole.params = [alt.VariableParameter(name=CHOSEN, value=None)]  # add_params fails on concats
    return cast("alt.TopLevelMixin", whole)


def summed(
    chart: Any, counts: Iterable[str], by: Iterable[str], **more: alt.AggregatedFieldDef
) -> Any:
    """``chart`` of the chosen optimizers' ``counts``, added up for each of ``by``."""
    sums = [alt.AggregatedFieldDef(op="sum", field=name, **{"as": name}) for name in counts]
    return chart.transform_filter(IS_CHOSEN).transform_aggregate(
        [*sums, *more.values()], groupby=list(by)
    )


def log_axis(numbers: pd.Series) -> dict[str, Any]:
    """The scale and the axis of positive numbers, all ticks written in one way."""
    low, high = float(numbers.min()), float(numbers.max())
    written = "~g" if low >= 1e-3 and high <= 1e4 else ".0e"
    axis = alt.Axis(
        format=written, tickCount=4, labelOverlap="greedy", labelSeparation=6, gridOpacity=0.7
    )
    return {"scale": alt.Scale(type="log", nice=False, padding=8), "axis": axis}


def _plain(value: Any) -> Any:
    if pd.isna(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value


_CONFIG: dict[str, Any] = {
    "background": "white",
    "font": "sans-serif",
    "padding": 8,
    "view": alt.ViewConfig(stroke=None),
    "title": alt.TitleConfig(
        anchor="start",
        frame="bounds",
        fontSize=TITLE_TEXT,
        fontWeight="bold",
        color=INK,
        subtitleFontSize=SMALL_TEXT,
        subtitleColor=FAINT,
        subtitlePadding=4,
        offset=12,
    ),
    "axis": alt.AxisConfig(
        labelFontSize=SMALL_TEXT,
        titleFontSize=SMALL_TEXT,
        titleFontWeight="normal",
        labelColor=INK,
        titleColor=FAINT,
        domainColor="#b5b5b5",
        tickColor="#b5b5b5",
        gridColor="#e6e6e6",
        labelLimit=200,
    ),
    "header": alt.HeaderConfig(
        labelFontSize=SMALL_TEXT,
        labelFontWeight="bold",
        labelColor=INK,
        titleFontSize=SMALL_TEXT,
        titleFontWeight="normal",
        titleColor=FAINT,
        labelPadding=4,
    ),
    "legend": alt.LegendConfig(
        labelFontSize=SMALL_TEXT,
        titleFontSize=SMALL_TEXT,
        titleFontWeight="normal",
        titleColor=FAINT,
        labelColor=INK,
        orient="bottom",
        symbolSize=60,
    ),
}
