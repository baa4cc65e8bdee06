"""How much each axis of the grid matters: leak rate by each of its values, with the counts."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures.look import (
    HUES,
    INK,
    IS_CHOSEN,
    SMALL_TEXT,
    finished,
    inline,
)
from analysis.figures.phrases import counted, share
from analysis.schema import AXES, in_order
from analysis.schema import counts as trials_of

AXES_DRAWN = tuple(axis for axis in AXES if axis != "optimizer")
NEEDS = ("sweep", "optimizer", *AXES_DRAWN, "verdict")
MOST_VALUES = 12  # of one axis; a random search has thousands, which bars cannot show
ABSENT = "(none)"

_NUMBERS = frozenset({"lr", "weight_decay", "momentum"})
_COUNTS = ("trials", "leaks", "inert", "failed")
_BAR_WIDTH = 200


def leak_rate_by_axis(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """A bar for each value of each axis that varies: the share of trials that leak.

    ``(none)`` is where the axis cannot apply to the optimizer. An axis with more than
    `MOST_VALUES` values is left out. Raises NothingToDrawError where no axis varies, or no
    trial leaks or holds.
    """
    varying = [axis for axis in AXES_DRAWN if 1 < _values(frame, axis) <= MOST_VALUES]
    if not varying:
        raise NothingToDrawError("no axis but the optimizer has more than one value")
    counts = pd.concat([_counted(frame, axis) for axis in varying], ignore_index=True)
    if not counts["trials"].sum():
        raise NothingToDrawError("no trial leaks or holds")
    conclusive = int(trials_of(frame)[frame["verdict"].isin(["leaks", "holds"])].sum())
    subtitle = f"Share of {counted(conclusive, 'trial')} that leak, beside leaks / trials"
    return finished(_panels(counts, varying), title(counts), subtitle)


def title(counts: pd.DataFrame) -> str:
    """The axis with the widest span of leak rates, and that span, as a sentence."""
    sums = counts.groupby(["axis", "value"], sort=False)[["leaks", "trials"]].sum()
    sums = sums[sums["trials"] > 0]
    rates = sums["leaks"] / sums["trials"]
    spans = rates.groupby("axis").max() - rates.groupby("axis").min()
    axis = str(spans.idxmax())
    if not spans.max():
        return "The leak rate is the same whatever an axis is set to"
    own = sums.xs(axis)
    rate = own["leaks"] / own["trials"]
    low, high = str(rate.idxmin()), str(rate.idxmax())
    ends = [f"{share(*map(int, own.loc[end]))} ({end})" for end in (low, high)]
    return f"{axis} matters most: {ends[0]} to {ends[1]} of trials leak"


def _values(frame: pd.DataFrame, axis: str) -> int:
    return int(frame[axis].nunique(dropna=False))


def _counted(frame: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Counts by optimizer and value of one axis, the values as text in their order."""
    verdict, trials = frame["verdict"], trials_of(frame)
    words = ("leaks", "holds", "inert", "failed")
    marks = frame[["optimizer", axis]].assign(**{w: trials.where(verdict == w, 0) for w in words})
    marks["trials"] = marks["leaks"] + marks["holds"]
    groups = marks.groupby(["optimizer", axis], observed=True, dropna=False)
    sums = groups[list(_COUNTS)].sum().reset_index()
    keys = [sums["optimizer"].astype(str), sums[axis].map(_text, na_action=None)]
    counts = sums.groupby(keys)[list(_COUNTS)].sum()
    counts.index.names = ["optimizer", "value"]
    counts = counts.reset_index().assign(axis=axis)
    places = _places(axis, counts["value"])
    return counts.assign(placed=[f"{places[value]:02} {value}" for value in counts["value"]])


def _text(value: Any) -> str:
    if pd.isna(value):
        return ABSENT
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _places(axis: str, texts: pd.Series) -> dict[str, int]:
    """The place of each value on its axis: numbers by size, words as readers expect."""
    known = [text for text in texts.unique() if text != ABSENT]
    ordered = sorted(known, key=float) if axis in _NUMBERS else in_order(axis, known)
    return {text: place for place, text in enumerate([*ordered, ABSENT])}


def _panels(counts: pd.DataFrame, varying: list[str]) -> Any:
    panels = [_panel(axis, is_last=axis == varying[-1]) for axis in varying]
    return alt.vconcat(*panels, data=inline(counts), spacing=8)


def _panel(axis: str, *, is_last: bool) -> Any:
    """The bars of one axis, those of the chosen optimizers added up; the last has the scale."""
    # A value is sorted as text, behind its place, which the label leaves out again.
    label = alt.Axis(labelExpr="slice(datum.label, 3)")
    base = alt.Chart().encode(y=alt.Y("placed:N", title=None, axis=label))
    names = ("axis", "value", *_COUNTS)
    bars = base.mark_bar(color=HUES[1], height=11).encode(
        x=alt.X("rate:Q", scale=alt.Scale(domain=[0, 1]), axis=_LABELLED if is_last else _BARE),
        tooltip=[alt.Tooltip(name, type="nominal") for name in names],
    )
    text = base.mark_text(align="left", dx=5, fontSize=SMALL_TEXT, color=INK).encode(
        x="rate:Q", text="counts:N"
    )
    heading = alt.TitleParams(axis, fontSize=SMALL_TEXT, offset=2, frame="group")
    whole = alt.layer(bars, text, title=heading, width=_BAR_WIDTH, height=alt.Step(17))
    return _summed(whole.transform_filter(f"datum.axis === '{axis}'"))


def _summed(chart: Any) -> Any:
    """``chart`` of the chosen optimizers' counts, added up for each value."""
    sums = [alt.AggregatedFieldDef(op="sum", field=name, **{"as": name}) for name in _COUNTS]
    return (
        chart.transform_filter(IS_CHOSEN)
        .transform_aggregate(sums, groupby=["axis", "value", "placed"])
        .transform_calculate(
            rate="datum.trials > 0 ? datum.leaks / datum.trials : null",
            counts="format(datum.leaks, ',') + ' / ' + format(datum.trials, ',')",
        )
    )


_TICKS = [0, 0.25, 0.5, 0.75, 1]
_LABELLED = alt.Axis(format="%", values=_TICKS, title="leak rate")
_BARE = alt.Axis(values=_TICKS, labels=False, ticks=False, domain=False, title=None)
