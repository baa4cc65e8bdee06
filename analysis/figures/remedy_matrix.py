"""What stops a leak: remedies against the way of clearing grads they were tried with."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures.look import (
    INK,
    IS_CHOSEN,
    RATE_TEXT,
    SMALL_TEXT,
    STOP_RAMP,
    finished,
    inline,
)
from analysis.figures.phrases import listed
from analysis.schema import in_order
from analysis.tables import remedy_pairs as _table

NEEDS = _table.NEEDS
MOST_NAMED = 3  # remedies that a title spells out

_AXES = ("zero_grad", "freeze", "momentum", "weight_decay")


def remedies_matrix(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Share of leaks that each remedy (rows) stops, by the zero_grad they leak with (columns).

    Of pairs of trials that differ in the remedy alone; see `analysis.tables.remedy_pairs`. A
    remedy is a new value of an axis, whatever the old one was. Raises NothingToDrawError
    where no leaking trial has a counterpart.
    """
    pairs = _table.remedies(frame)
    pairs = pairs[pairs["optimizer"] != _table.ALL]
    if pairs.empty:
        raise NothingToDrawError("no two trials differ in a remedy alone, the first one leaking")
    pairs = pairs.assign(remedy=pairs["axis"] + " → " + pairs["to"])
    keys = ["axis", "to", "remedy", "optimizer", "zero_grad"]
    counts = pairs.groupby(keys, as_index=False)[["pairs", "stopped", "left"]].sum()
    subtitle = "Percent of leaks stopped, of pairs of trials that differ in the remedy alone"
    return finished(_matrix(counts), title(counts), subtitle)


def title(counts: pd.DataFrame) -> str:
    """The remedies that stop every leak they were tried on, or else the best one."""
    sums = counts.groupby("remedy")[["pairs", "stopped"]].sum()
    whole = list(sums.index[sums["stopped"] == sums["pairs"]])
    if not whole:
        rates = sums["stopped"] / sums["pairs"]
        return f"No remedy stops every leak; {rates.idxmax()} stops most"
    widest = sorted(whole, key=lambda name: (-sums.loc[name, "pairs"], name))[:MOST_NAMED]
    if len(whole) == 1:
        return f"Only {whole[0]} stops every leak it was tried on"
    more = [f"{len(whole) - len(widest)} more"] if len(whole) > len(widest) else []
    return f"{listed([*widest, *more])} stop every leak they were tried on"


def _matrix(counts: pd.DataFrame) -> Any:
    starts = in_order("zero_grad", counts["zero_grad"])
    base = alt.Chart().encode(
        x=alt.X("zero_grad:N", sort=starts, title="zero_grad of the leak", axis=_BARE),
        y=alt.Y("remedy:N", sort=_ordered(counts), title=None, axis=_BARE),
    )
    scale = alt.Scale(domain=[0, 0.5, 1], range=list(STOP_RAMP), interpolate="lab")
    names = ("remedy", "zero_grad", "pairs", "stopped", "left")
    cell = base.mark_rect(stroke="white").encode(
        color=alt.Color("rate:Q", scale=scale, legend=None),
        tooltip=[alt.Tooltip(name, type="nominal") for name in names],
    )
    ink = alt.condition("datum.rate > 0.6", alt.value("white"), alt.value(INK))
    text = base.mark_text(fontSize=SMALL_TEXT).encode(text="cell:N", color=ink)
    whole = alt.layer(cell, text, data=inline(counts))
    return _summed(whole).properties(width=alt.Step(86), height=alt.Step(20))


def _summed(chart: Any) -> Any:
    """``chart`` of the chosen optimizers' pairs, added up for each cell."""
    names = ("pairs", "stopped", "left")
    sums = [alt.AggregatedFieldDef(op="sum", field=name, **{"as": name}) for name in names]
    return (
        chart.transform_filter(IS_CHOSEN)
        .transform_aggregate(sums, groupby=["remedy", "zero_grad"])
        .transform_calculate(rate="datum.stopped / datum.pairs")
        .transform_calculate(percent=RATE_TEXT)
        .transform_calculate(cell="datum.percent + '  (' + datum.stopped + '/' + datum.pairs + ')'")
    )


_BARE = alt.Axis(labelAngle=0, ticks=False, domain=False)


def _ordered(counts: pd.DataFrame) -> list[str]:
    """The remedies by axis, then by the value that they set."""
    rows = counts.drop_duplicates("remedy")
    found: list[str] = []
    for axis in _AXES:
        own = rows[rows["axis"] == axis]
        by_value = dict(zip(own["to"], own["remedy"], strict=True))
        found += [by_value[value] for value in in_order(axis, by_value)]
    return found
