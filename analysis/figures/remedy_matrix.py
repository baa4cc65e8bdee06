"""What stops a leak: remedies against the way of clearing grads they were tried with."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures import look
from analysis.schema import FREEZES, USUAL_FREEZES, in_order
from analysis.tables.remedy_pairs import EVERY, remedies

_AXES = ("zero_grad", "freeze", "momentum", "weight_decay")
_SUMS = ("pairs", "stopped", "left")


def remedies_matrix(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Share of leaks that each remedy (rows) stops, by the zero_grad they leak with (columns).

    Of pairs of trials that differ in the remedy alone; see `analysis.tables.remedy_pairs`. A
    remedy is a new value of an axis, whatever the old one was. Every remedy of a panel is tried
    on leaks of the same ways of freezing, which the panel names. Raises NothingToDrawError
    where no leaking trial has a counterpart.
    """
    table = remedies(frame)
    pairs = table[(table["optimizer"] != EVERY) & (table["causes"] == EVERY)]
    if pairs.empty:
        raise NothingToDrawError("no two trials differ in a remedy alone, the first one leaking")
    pairs = pairs.assign(
        remedy=pairs["axis"] + " → " + pairs["to"], panel="frozen by " + pairs["frozen_by"]
    )
    keys = ["panel", "frozen_by", "axis", "to", "remedy", "optimizer", "zero_grad"]
    sums = pairs.groupby(keys, as_index=False)[list(_SUMS)].sum()
    subtitle = "Percent of leaks stopped (of how many), in pairs that differ in the remedy alone"
    return look.titled(_matrix(sums), _title(sums), subtitle)


def _title(pairs: pd.DataFrame) -> str:
    """The remedies that stop every leak of a layer frozen as people freeze one, or the best.

    Of all leaks where the sweep has none of those.
    """
    usual = pairs["frozen_by"].str.split(", ").str[0].isin(USUAL_FREEZES)
    asked = pairs[usual] if usual.any() else pairs
    sums = asked.groupby("remedy")[["pairs", "stopped"]].sum()
    whole: list[str] = sums.index[sums["stopped"] == sums["pairs"]].astype(str).tolist()
    if not whole:
        best = str((sums["stopped"] / sums["pairs"]).idxmax())
        stopped, tried = sums["stopped"][best], sums["pairs"][best]
        found = f"{best} stops most, {stopped:,} of {tried:,}"
        return f"No remedy stops every leak it was tried on; {found}"
    widest = sorted(whole, key=lambda name: (-sums["pairs"][name], name))[: look.MOST_IN_TITLE]
    if len(whole) == 1:
        return f"Only {whole[0]} stops every leak it was tried on"
    more = [f"{len(whole) - len(widest)} more"] if len(whole) > len(widest) else []
    return f"{look.joined([*widest, *more])} stop every leak they were tried on"


def _matrix(pairs: pd.DataFrame) -> Any:
    first = pairs["frozen_by"].str.split(", ").str[0].map(FREEZES.index)
    panels = pairs.assign(first=first).sort_values("first")["panel"].unique()
    starts = in_order("zero_grad", pairs["zero_grad"])
    drawn = [
        _panel(name, pairs[pairs["panel"] == name], starts, is_last=name == panels[-1])
        for name in panels
    ]
    return look.stacked(drawn, pairs)


def _panel(name: str, pairs: pd.DataFrame, starts: list[str], *, is_last: bool) -> Any:
    """The leaks of one way of freezing; the last panel has the scale."""
    bare = alt.Axis(labels=False, ticks=False, domain=False, title=None)
    base = alt.Chart().encode(
        x=alt.X(
            "zero_grad:N",
            sort=starts,
            scale=alt.Scale(domain=starts),
            title="zero_grad of the leak",
            axis=look.BARE_AXIS if is_last else bare,
        ),
        y=alt.Y("remedy:N", sort=_ordered(pairs), title=None, axis=look.BARE_AXIS),
    )
    cell = look.rate_cells(
        base, look.STOP_RAMP, "cell:N", look.tips("panel", "remedy", "zero_grad", *_SUMS)
    )
    which = f"datum.panel === {json.dumps(name)}"  # whatever is in it
    own = look.headed(cell, name, which, width=alt.Step(86), height=alt.Step(18))
    return (
        look.summed(own, _SUMS, ["panel", "remedy", "zero_grad"])
        .transform_calculate(rate="datum.stopped / datum.pairs")
        .transform_calculate(percent=look.RATE_TEXT)
        .transform_calculate(cell="datum.percent + '  (' + datum.stopped + '/' + datum.pairs + ')'")
    )


def _ordered(pairs: pd.DataFrame) -> list[str]:
    """The remedies by axis, then by the value that they set."""
    rows = pairs.drop_duplicates("remedy")
    found: list[str] = []
    for axis in _AXES:
        own = rows[rows["axis"] == axis]
        by_value = dict(zip(own["to"], own["remedy"], strict=True))
        found += [by_value[value] for value in in_order(axis, by_value)]
    return found
