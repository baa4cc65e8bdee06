"""How much each axis matters, all else equal: the leak rate before and after a change of it."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures import look
from analysis.formats import percent
from analysis.schema import MOST_VALUES, SETTING_AXES, in_order, tallied
from analysis.tables.axis_shares import overall_effects

AXES_DRAWN = tuple(axis for axis in SETTING_AXES if axis != "optimizer")
_TICKS = [0, 0.25, 0.5, 0.75, 1]


def leak_rate_by_axis(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """For each axis, a line from the leak rate at its first value to that at each other one.

    Only settings count that were run with both values and agree in all other axes, so that no
    other axis is mixed in. An axis with more than `MOST_VALUES` values is left out. Raises
    NothingToDrawError where no two settings differ in one axis alone.
    """
    settings = _settings(frame)
    found = {axis: _changes(settings, axis) for axis in AXES_DRAWN}
    drawn = [axis for axis, changes in found.items() if len(changes)]
    if not drawn:
        raise NothingToDrawError("no two settings that leak or hold differ in one axis alone")
    pairs = pd.concat([found[axis] for axis in drawn], ignore_index=True)
    number = look.counted(int(pairs["pairs"].sum()), "pair")
    subtitle = f"Leak rates before and after, averaged over {number} that differ in it alone"
    panels = [_panel(axis, is_last=axis == drawn[-1]) for axis in drawn]
    return look.titled(look.stacked(panels, pairs), _title(overall_effects(frame)), subtitle)


def _title(effects: dict[str, float]) -> str:
    """The axes that matter most by ``total_effect``, as the table `importance` has it."""
    named = [(axis, percent(share)) for axis, share in effects.items() if share > 0]
    if not named:
        return "Changing one axis alone changes no verdict"
    then = f", then {named[1][0]} ({named[1][1]}%)" if len(named) > 1 else ""
    return f"Changed alone, {named[0][0]} matters most ({named[0][1]}% of the variance){then}"


def _settings(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a setting: its axes and the share of its trials that leak, as ``after``."""
    found = tallied(frame, list(SETTING_AXES))
    trials = found["leaks"] + found["holds"]
    return (found["leaks"] / trials)[trials > 0].rename("after").reset_index()


def _changes(settings: pd.DataFrame, axis: str) -> pd.DataFrame:
    """For each change of an axis, its pairs by optimizer: their number and the sums of rates."""
    values = list(settings[axis].dropna().unique())
    if not 1 < len(values) <= MOST_VALUES:
        return pd.DataFrame()
    numeric = pd.api.types.is_numeric_dtype(settings[axis])
    first, *others = sorted(values) if numeric else in_order(axis, map(str, values))
    alike = [name for name in SETTING_AXES if name != axis]
    before = settings.loc[settings[axis] == first, [*alike, "after"]]
    before = before.rename(columns={"after": "before"})
    both = settings[settings[axis].isin(others)].merge(before, on=alike)
    groups = both.astype({"optimizer": str}).groupby([axis, "optimizer"], observed=True)
    found = groups.agg(pairs=("after", "size"), before=("before", "sum"), after=("after", "sum"))
    told = [f"{value:.6g}" if numeric else value for value in (first, *others)]
    changes = {
        value: f"{place:02} {told[0]} → {word}"
        for place, (value, word) in enumerate(zip(others, told[1:], strict=True))
    }
    rows = found.reset_index()
    return rows.assign(axis=axis, change=rows.pop(axis).map(changes).astype(str))


def _panel(axis: str, *, is_last: bool) -> Any:
    """The changes of one axis, of the chosen optimizers together; the last panel has a scale."""
    # A change is sorted as text, behind its place, which the label leaves out again.
    label = alt.Axis(labelExpr="slice(datum.label, 3)", ticks=False, domain=False, labelPadding=10)
    labelled = alt.Axis(format="%", values=_TICKS, title="leak rate")
    bare = alt.Axis(values=_TICKS, labels=False, ticks=False, domain=False, title=None)
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart().encode(y=alt.Y("change:N", title=None, axis=label))
    x = alt.X("before:Q", scale=scale, axis=labelled if is_last else bare)
    line = base.mark_rule(color=look.HUES[1], strokeWidth=3).encode(x=x, x2="after:Q")
    start = base.mark_point(color=look.HUES[1], fill="white", opacity=1, size=50, tooltip=None)
    end = base.mark_point(color=look.HUES[1], filled=True, opacity=1, size=70)
    text = base.transform_calculate(right="max(datum.before, datum.after)").mark_text(
        align="left", dx=8, fontSize=look.SMALL_TEXT, color=look.INK
    )
    layers = [
        line,
        start.encode(x="before:Q"),
        end.encode(x="after:Q", tooltip=look.tips("axis", "change", "pairs", "rates")),
        text.encode(x="right:Q", text="rates:N"),
    ]
    own = look.headed(layers, axis, f"datum.axis === '{axis}'", width=200, height=alt.Step(17))
    return (
        look.summed(own, ("pairs", "before", "after"), ["axis", "change"])
        .transform_calculate(before="datum.before / datum.pairs", after="datum.after / datum.pairs")
        .transform_calculate(
            rates="format(datum.before, '.0%') + ' → ' + format(datum.after, '.0%')"
            " + '  (' + format(datum.pairs, ',') + ')'"
        )
    )
