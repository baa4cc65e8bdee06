"""How much each axis matters, all else equal: the leak rate before and after a change of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures.look import HUES, INK, SMALL_TEXT, inline, summed, titled
from analysis.figures.phrases import counted, share_of
from analysis.schema import MOST_VALUES, SETTING_AXES, counts, in_order
from analysis.tables.axis_shares import overall_effects

AXES_DRAWN = tuple(axis for axis in SETTING_AXES if axis != "optimizer")
_SUMS = ("pairs", "before", "after")
_TICKS = [0, 0.25, 0.5, 0.75, 1]


def leak_rate_by_axis(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """For each axis, a line from the leak rate at its first value to that at each other one.

    Only settings count that were run with both values and agree in all other axes, so that no
    other axis is mixed in. An axis with more than `MOST_VALUES` values is left out. Raises
    NothingToDrawError where no two settings differ in one axis alone.
    """
    settings = _settings(frame)
    found = [pairs for axis in AXES_DRAWN for pairs in _changes(settings, axis)]
    if not found:
        raise NothingToDrawError("no two settings that leak or hold differ in one axis alone")
    pairs = pd.concat(found, ignore_index=True)
    number = counted(int(pairs["pairs"].sum()), "pair")
    subtitle = f"Leak rates before and after, averaged over {number} that differ in it alone"
    return titled(_panels(pairs), _title(overall_effects(frame)), subtitle)


def _title(effects: dict[str, float]) -> str:
    """The axes that matter most by ``total_effect``, as the table `importance` has it."""
    named = [(axis, share_of(share, 1)) for axis, share in effects.items() if share > 0]
    if not named:
        return "Changing one axis alone changes no verdict"
    then = f", then {named[1][0]} ({named[1][1]})" if len(named) > 1 else ""
    return f"Changed alone, {named[0][0]} matters most ({named[0][1]} of the variance){then}"


def _settings(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a setting: its axes and the share of its trials that leak."""
    decided = frame[frame["verdict"].isin(["leaks", "holds"])]
    keys, trials = list(SETTING_AXES), counts(decided)
    marked = decided[keys].assign(
        trials=trials, leaks=trials.where(decided["verdict"] == "leaks", 0)
    )
    rows = marked.groupby(keys, observed=True, dropna=False)[["trials", "leaks"]].sum()
    rows["rate"] = rows["leaks"] / rows["trials"]
    return rows["rate"].reset_index()


def _changes(settings: pd.DataFrame, axis: str) -> Iterator[pd.DataFrame]:
    """For each change of an axis, its pairs by optimizer: their number and the sums of rates."""
    values = list(settings[axis].dropna().unique())
    if not 1 < len(values) <= MOST_VALUES:
        return
    numeric = pd.api.types.is_numeric_dtype(settings[axis])
    ordered = sorted(values) if numeric else in_order(axis, map(str, values))
    same = settings.groupby([a for a in SETTING_AXES if a != axis], observed=True, dropna=False)
    rates = settings.assign(same=same.ngroup())
    before = rates[rates[axis] == ordered[0]].set_index("same")
    for place, value in enumerate(ordered[1:]):
        after = rates[rates[axis] == value].set_index("same")["rate"]
        both = before.join(after.rename("after"), on="same", how="inner")
        if both.empty:
            continue
        groups = both.assign(before=both["rate"]).groupby(both["optimizer"].astype(str))
        found = groups.agg(pairs=("rate", "size"), before=("before", "sum"), after=("after", "sum"))
        words = [f"{each:.6g}" if numeric else str(each) for each in (ordered[0], value)]
        change = f"{place:02} {words[0]} → {words[1]}"
        yield found.rename_axis("optimizer").reset_index().assign(axis=axis, change=change)


def _panels(pairs: pd.DataFrame) -> Any:
    drawn = [axis for axis in AXES_DRAWN if (pairs["axis"] == axis).any()]
    panels = [_panel(axis, is_last=axis == drawn[-1]) for axis in drawn]
    return alt.vconcat(*panels, data=inline(pairs), spacing=8)


def _panel(axis: str, *, is_last: bool) -> Any:
    """The changes of one axis, of the chosen optimizers together; the last panel has a scale."""
    # A change is sorted as text, behind its place, which the label leaves out again.
    label = alt.Axis(labelExpr="slice(datum.label, 3)", ticks=False, domain=False, labelPadding=10)
    labelled = alt.Axis(format="%", values=_TICKS, title="leak rate")
    bare = alt.Axis(values=_TICKS, labels=False, ticks=False, domain=False, title=None)
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart().encode(y=alt.Y("change:N", title=None, axis=label))
    x = alt.X("before:Q", scale=scale, axis=labelled if is_last else bare)
    shown = [alt.Tooltip(name, type="nominal") for name in ("axis", "change", "pairs", "rates")]
    line = base.mark_rule(color=HUES[1], strokeWidth=3).encode(x=x, x2="after:Q")
    start = base.mark_point(color=HUES[1], fill="white", opacity=1, size=50, tooltip=None)
    end = base.mark_point(color=HUES[1], filled=True, opacity=1, size=70)
    text = base.transform_calculate(right="max(datum.before, datum.after)").mark_text(
        align="left", dx=8, fontSize=SMALL_TEXT, color=INK
    )
    layers = alt.layer(
        line,
        start.encode(x="before:Q"),
        end.encode(x="after:Q", tooltip=shown),
        text.encode(x="right:Q", text="rates:N"),
        title=alt.TitleParams(axis, fontSize=SMALL_TEXT, offset=2, frame="group"),
        width=200,
        height=alt.Step(17),
    )
    own = layers.transform_filter(f"datum.axis === '{axis}'")
    return (
        summed(own, _SUMS, ["axis", "change"])
        .transform_calculate(before="datum.before / datum.pairs", after="datum.after / datum.pairs")
        .transform_calculate(
            rates="format(datum.before, '.0%') + ' → ' + format(datum.after, '.0%')"
            " + '  (' + format(datum.pairs, ',') + ')'"
        )
    )
