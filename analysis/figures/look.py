"""How every figure looks and speaks, and the pieces of Vega-Lite that they share.

Colours are told apart by the colour-blind and in grey print: ramps go from light to dark,
hues are Okabe and Ito's and each comes with a shape of its own. Sizes are made for one
column of a paper: text of 11 pixels at a width of 420 is still read at 3.4 inches.

Okabe, Ito: Color Universal Design, https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
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
LOOKS = tuple(zip(HUES, SHAPES, strict=True))
MOST_IN_TITLE = 3  # names that a title spells out
BARE_AXIS = alt.Axis(labelAngle=0, ticks=False, domain=False, labelLimit=260)

CHOSEN = "chosen"
"""The signal with the optimizers to show, as names; null for all. The report's filter sets it."""

IS_CHOSEN = f"{CHOSEN} === null || indexof({CHOSEN}, datum.optimizer) >= 0"
OTHERS = "any other"
RATE_TEXT = (
    "datum.rate === null ? '–' : datum.rate > 0 && datum.rate < 0.005 ? '<1'"
    " : datum.rate < 1 && datum.rate >= 0.995 ? '>99' : format(100 * datum.rate, '.0f')"
)
"""A rate in [0, 1] as percent; 0 and 100 are kept for the exact values."""


def inline(rows: pd.DataFrame) -> alt.InlineData:
    """The rows as data inside the figure; null, NaN and infinity become null."""
    return alt.InlineData(values=alt.to_values(rows)["values"])


def chosen(rows: pd.DataFrame) -> alt.Chart:
    """A chart of the chosen optimizers' rows."""
    return alt.Chart(inline(rows)).transform_filter(IS_CHOSEN)


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


def stacked(panels: Sequence[Any], rows: pd.DataFrame) -> Any:
    """The ``panels`` of ``rows`` below each other."""
    return alt.vconcat(*panels, data=inline(rows), spacing=8)


def headed(layers: Sequence[Any], heading: str, which: str, **size: Any) -> Any:
    """A panel of `stacked`: the ``layers`` under a heading, of the rows for ``which`` alone."""
    title = alt.TitleParams(heading, fontSize=SMALL_TEXT, offset=2, frame="group")
    return alt.layer(*layers, title=title, **size).transform_filter(which)


def faceted(panel: Any, name: str, rows: pd.DataFrame, *, last: Sequence[str], spacing: int) -> Any:
    """``panel`` for each word of the column ``name``, the frequent before the rare, ``last`` last.

    Of the chosen optimizers.
    """
    words = list(rows[name].value_counts().index)
    words.sort(key=lambda word: last.index(word) if word in last else -1)
    facet = alt.Facet(f"{name}:N", sort=words, header=alt.Header(title=None, labelLimit=170))
    chart = panel.facet(
        facet, data=inline(rows), columns=2 if len(words) > 1 else 1, spacing=spacing
    )
    return chart.transform_filter(IS_CHOSEN)


def frequent(words: pd.Series, most: int) -> pd.Series:
    """The ``words``, with `OTHERS` in place of the rarest where more than ``most`` differ."""
    counts = words.value_counts()
    rare = counts.index[most - 1 if len(counts) > most else most :]
    return words.mask(words.isin(rare), OTHERS)


def rate_cells(base: Any, ramp: Sequence[str], text: str, tooltip: Any, **mark: Any) -> list[Any]:
    """A cell for each ``rate`` of ``base``, coloured by it, and the field ``text`` inside."""
    scale = alt.Scale(domain=[0, 0.5, 1], range=list(ramp), interpolate="lab")
    rate = alt.Color("rate:Q", scale=scale, legend=None)
    colour = alt.condition("datum.rate === null", alt.value(NO_RATE), rate)
    ink = alt.condition("datum.rate > 0.6", alt.value("white"), alt.value(INK))
    return [
        base.mark_rect(stroke="white", invalid=None).encode(color=colour, tooltip=tooltip),
        base.mark_text(fontSize=SMALL_TEXT, tooltip=None).encode(text=text, color=ink),
    ]


def told_apart(name: str, looks: Mapping[str, tuple[str, str]], **more: Any) -> dict[str, Any]:
    """The colour and the shape of each word of a field, of which ``looks`` has all."""
    hues, shapes = zip(*looks.values(), strict=True)
    return {
        channel: kind(f"{name}:N", scale=alt.Scale(domain=list(looks), range=list(own)), **more)
        for channel, kind, own in (("color", alt.Color, hues), ("shape", alt.Shape, shapes))
    }


def dashed(**place: Any) -> Any:
    """A dashed line across the chart where the value is ``place``."""
    where = {channel: alt.datum(value, type="quantitative") for channel, value in place.items()}
    return alt.Chart().mark_rule(color=FAINT, strokeDash=[4, 3]).encode(**where)


def tips(*names: str, **titles: str) -> list[alt.Tooltip]:
    """A tooltip's lines: these fields as they are, some under a title of their own."""
    plain = [alt.Tooltip(name, type="nominal") for name in names]
    return plain + [alt.Tooltip(n, type="nominal", title=title) for n, title in titles.items()]


def log_axis(numbers: pd.Series) -> dict[str, Any]:
    """The scale and the axis of positive numbers, all ticks written in one way."""
    low, high = float(numbers.min()), float(numbers.max())
    written = "~g" if low >= 1e-3 and high <= 1e4 else ".0e"
    axis = alt.Axis(
        format=written, tickCount=4, labelOverlap="greedy", labelSeparation=6, gridOpacity=0.7
    )
    return {"scale": alt.Scale(type="log", nice=False, padding=8), "axis": axis}


def joined(names: Sequence[str], last: str = "and") -> str:
    """The names as a clause of a sentence.

    >>> joined(["LBFGS"]), joined(["A", "B"]), joined(["A", "B", "C"], "or")
    ('LBFGS', 'A and B', 'A, B or C')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def counted(count: int, noun: str) -> str:
    """The count before its noun, in the plural where that is due.

    >>> counted(1, "trial"), counted(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


_WORDS = {
    "labelFontSize": SMALL_TEXT,
    "titleFontSize": SMALL_TEXT,
    "titleFontWeight": "normal",
    "labelColor": INK,
    "titleColor": FAINT,
}
_CONFIG: dict[str, Any] = {
    "background": "white",
    "font": "sans-serif",
    "padding": 8,
    "view": {"stroke": None},
    "title": {
        "anchor": "start",
        "frame": "bounds",
        "fontSize": TITLE_TEXT,
        "fontWeight": "bold",
        "color": INK,
        "subtitleFontSize": SMALL_TEXT,
        "subtitleColor": FAINT,
        "subtitlePadding": 4,
        "offset": 12,
    },
    "axis": _WORDS
    | {"domainColor": "#b5b5b5", "tickColor": "#b5b5b5", "gridColor": "#e6e6e6", "labelLimit": 200},
    "header": _WORDS | {"labelFontWeight": "bold", "labelPadding": 4},
    "legend": _WORDS | {"orient": "bottom", "symbolSize": 60},
}
